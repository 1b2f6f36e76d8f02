import duckdb

calls = duckdb.read_json("calls.jsonl", format="newline_delimited")
print(
    duckdb.sql(
        """
        SELECT locationId, count(*) AS calls, round(avg(duration)) AS seconds
        FROM calls
        GROUP BY locationId
        ORDER BY locationId
        """
    ).fetchall()
)
