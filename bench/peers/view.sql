-- The joined rows of IS-U that every peer reads; `:today` is the day that slices are looked at.
CREATE OR REPLACE VIEW bench_contract AS
SELECT v.vertrag, v.sparte, v.vbez, v.einzdat, v.auszdat, v.abrsperr, v.kuenddat, v.loevm, v.anlage, v.vkonto,
       a.anlage AS eanl_anlage, c.intcode, k.gpart, i.int_ui, h.product_guid, h.crm_product, l.contractpos, e.endabrpe
FROM ever v
LEFT JOIN eanl a ON a.mandt = '100' AND a.anlage = v.anlage
LEFT JOIN tecde c ON c.mandt = '100' AND c.service = a.service
LEFT JOIN fkkvkp k ON k.mandt = '100' AND k.vkont = v.vkonto
LEFT JOIN euiinstln i ON i.mandt = '100' AND i.anlage = v.anlage AND i.datefrom <= :today AND i.dateto >= :today
LEFT JOIN everh h ON h.mandt = '100' AND h.vertrag = v.vertrag AND h.ab <= :today AND h.bis >= :today
LEFT JOIN everh l ON l.mandt = '100' AND l.vertrag = v.vertrag AND l.ab <= v.auszdat AND l.bis >= v.auszdat
LEFT JOIN eeinv n ON n.mandt = '100' AND n.vertrag = v.vertrag AND n.einzdat = v.einzdat AND n.stornokz = 'X'
LEFT JOIN erch e ON e.mandt = '100' AND e.vertrag = v.vertrag AND e.simulation = '' AND e.stornodat = '00000000'
     AND e.begabrpe <= v.auszdat AND e.endabrpe >= v.auszdat
WHERE v.mandt = '100';
