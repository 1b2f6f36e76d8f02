SELECT strftime('%Y-%m', created_at) AS month,
       count(*) AS calls,
       round(sum(duration) / 3600, 1) AS hours
FROM call_logs
GROUP BY month
ORDER BY month
LIMIT 3;
