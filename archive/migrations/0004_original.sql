-- The five fields of the system that Vigie replaces, one row a user and cycle, of the days that are not packed yet.
-- cpu: percent of a core; memoire: MB of the user's home, as last measured; ram: KB; date: UTC seconds.
CREATE VIEW original AS
SELECT
  json_extract(r.labels, '$.user') AS users,
  s.value * 100.0 / m.scale AS cpu,
  (SELECT h.value / 1000000.0 FROM series hr JOIN metric hm ON hm.id = hr.metric
     JOIN sample h ON h.host = s.host AND h.series = hr.id AND h.at BETWEEN s.at - 7200 AND s.at
   WHERE hr.host = s.host AND hm.name = 'user_home_bytes' AND hr.labels = r.labels ORDER BY h.at DESC LIMIT 1) AS memoire,
  (SELECT a.value / 1024.0 FROM series ar JOIN metric am ON am.id = ar.metric
     JOIN sample a ON a.host = s.host AND a.series = ar.id AND a.at = s.at
   WHERE ar.host = s.host AND am.name = 'user_memory_bytes' AND ar.labels = r.labels) AS ram,
  s.at AS date
FROM sample s
JOIN series r ON r.id = s.series
JOIN metric m ON m.id = r.metric
WHERE m.name = 'user_cpu_seconds_total';
