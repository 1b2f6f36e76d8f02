import sqlite3
from contextlib import closing

import pandas as pd

with closing(sqlite3.connect("calls.db")) as database:
    calls = pd.read_sql("SELECT location_id, created_at, duration FROM call_logs", database)

calls["created_at"] = pd.to_datetime(calls["created_at"], format="ISO8601", utc=True)
print(calls.groupby("location_id")["duration"].agg(["count", "mean"]).round())
