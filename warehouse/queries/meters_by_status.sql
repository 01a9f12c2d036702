-- title: Meters by status
-- question: How many meters are there, and are they installed or in store?
-- unit: devices = meters
-- chart: bar x=devices y=material color=status
SELECT kind, material, status, sum(devices) AS devices
FROM analysis.device_stock
GROUP BY kind, material, status
HAVING sum(devices) <> 0
ORDER BY kind, material, status
