"""Run the application on a simulator in this process: no account, and nothing leaves the machine."""

import argparse
import os

import uvicorn

from ghl_voice_async.testing import Latency, Status, VoiceAIServer, running_in_thread
from web_app.app import app


def main() -> None:
    parser = argparse.ArgumentParser(prog="web_app.simulated", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--calls", type=int, default=150, help="how many ids the page suggests for a bulk")
    options = parser.parse_args()
    # Answers take a moment, as those from far away do, and some are failures that pass.
    faults = {Latency(0.1): 0.3, Latency(0.5): 0.3, Status(503): 0.02}
    with running_in_thread(VoiceAIServer(faults=faults)) as simulator:
        os.environ |= {
            "GHL_BASE_URL": simulator.url,
            "GHL_ACCESS_TOKEN": simulator.token,
            "GHL_LOCATION_ID": simulator.location_id,
        }
        ids = simulator.call_ids(options.calls + 31)[31:]  # the first of these is short and has actions
        ids[20:20] = ["of-no-call", "of/no/call"]
        app.state.suggested_ids = ids
        uvicorn.run(app, port=options.port, timeout_graceful_shutdown=5)


if __name__ == "__main__":
    main()
