from pathlib import Path

import pandas as pd

from ghl_voice_async import decode_call_log

with Path("calls.jsonl").open("rb") as lines:
    calls = [decode_call_log(line) for line in lines]

extracted = pd.DataFrame([call.extracted_data or {} for call in calls], index=[call.id for call in calls])
print(extracted["interest"].value_counts().sort_index())
