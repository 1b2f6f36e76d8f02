SELECT json_extract(action.value, '$.actionType') AS kind,
       count(*) AS times
FROM call_logs, json_each(body, '$.executedCallActions') AS action
GROUP BY kind
ORDER BY times DESC, kind
LIMIT 3;
