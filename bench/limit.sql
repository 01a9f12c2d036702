-- The limit: what the server needs by itself to bring IS-U into CRM. The schema isu holds the source, crm the target,
-- with the same tables, keys, constraints and indexes as the two databases of the engine. One section per object, in
-- load order; each is one statement and one transaction. The joins, conversions, code checks, rejects and parked rows
-- are those of mappings/isu and mappings/crm; a row that is refused goes to bench.refused with its reason.
--
-- In favour of the limit: keys are translated by joins with CRM's own tables, there is no key map; the ids of new
-- things were computed beforehand and stand in columns of the source (isthmus_guid, isthmus_header), uncounted; both
-- systems are schemas of one database; warnings are not told; nothing is remembered for a restart.
-- `:today` is the day that slices are looked at, `'100'` the client.

-- section: prepare
CREATE TABLE IF NOT EXISTS bench.refused (object text NOT NULL, key text NOT NULL, reason text NOT NULL);
CREATE SEQUENCE IF NOT EXISTS bench.orders;
CREATE OR REPLACE FUNCTION bench.padded(x text, n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN length(x) = n AND x <> repeat('0', n) THEN x WHEN ltrim(x, '0') = '' THEN ''
              WHEN x ~ '^[0-9]+$' THEN lpad(ltrim(x, '0'), n, '0') ELSE btrim(x) END $$;
CREATE OR REPLACE FUNCTION bench.is_date(x text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT x IN ('00000000', '99991231') OR pg_input_is_valid(x, 'date') $$;
CREATE OR REPLACE FUNCTION bench.region(x text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT x IN ('', 'ACT', 'NSW', 'NT', 'QLD', 'SA', 'TAS', 'VIC', 'WA', 'BGL', 'KTN', 'NOE', 'OOE', 'SBG', 'STM',
               'TIR', 'VBG', 'W', '01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12', '13', '14',
               '15', '16') $$;

-- section: business_partner
WITH found AS MATERIALIZED (
  SELECT bench.padded(b.partner, 10) AS partner, b.type, rtrim(b.bpkind) AS bpkind, rtrim(b.bu_group) AS bu_group,
         rtrim(b.bpext) AS bpext, rtrim(b.bu_sort1) AS bu_sort1, rtrim(b.bu_sort2) AS bu_sort2, b.title, b.xdele,
         b.xblck, rtrim(b.name_org1) AS name_org1, rtrim(b.name_org2) AS name_org2, rtrim(b.name_last) AS name_last,
         rtrim(b.name_first) AS name_first, b.birthdt, b.crdat, b.partner_guid,
         bench.padded(a.addrnumber, 10) AS addrnumber, a.address_guid, rtrim(d.name1) AS name1,
         rtrim(d.city1) AS city1, rtrim(d.city2) AS city2,
         rtrim(d.post_code1) AS post_code1, rtrim(d.street) AS street, rtrim(d.house_num1) AS house_num1,
         rtrim(d.house_num2) AS house_num2, rtrim(d.country) AS country, d.region, rtrim(d.city_code) AS city_code,
         rtrim(d.strt_code) AS strt_code, rtrim(d.time_zone) AS time_zone,
         CASE WHEN count(*) OVER (PARTITION BY b.partner) > 1 THEN 'key: ambiguous'
              WHEN b.partner_guid = decode(repeat('00', 16), 'hex') THEN 'guid: required'
              WHEN b.type NOT IN ('1', '2', '3') THEN 'kind: code'
              WHEN b.title NOT IN ('', '0001', '0002', '0003', '0004') THEN 'title: code'
              WHEN NOT bench.region(d.region) THEN 'region: code'
              WHEN NOT bench.is_date(b.birthdt) OR NOT bench.is_date(b.crdat) THEN 'born_on: date'
              WHEN b.xdele NOT IN ('', 'X') OR b.xblck NOT IN ('', 'X') THEN 'flag'
              WHEN b.type = '2' AND rtrim(b.name_org1) = '' THEN 'an organisation needs a name' END AS reason
  FROM isu.but000 b
  LEFT JOIN isu.but020 a ON a.client = '100' AND a.partner = b.partner AND a.xdfadr = 'X'
  LEFT JOIN isu.adrc d ON d.client = '100' AND d.addrnumber = a.addrnumber AND d.date_from = '00010101'
       AND d.nation = ''
  WHERE b.client = '100'
), w1 AS (
  INSERT INTO crm.but000 (client, partner, type, bpkind, bu_group, bpext, bu_sort1, bu_sort2, title, xdele, xblck,
         name_org1, name_org2, name_last, name_first, birthdt, crdat, partner_guid)
  SELECT '100', partner, type, bpkind, bu_group, bpext, bu_sort1, bu_sort2, title, xdele, xblck, name_org1, name_org2,
         name_last, name_first, birthdt, crdat, partner_guid FROM found WHERE reason IS NULL
), w2 AS (
  INSERT INTO crm.but020 (client, partner, addrnumber, address_guid, xdfadr, addr_valid_from, addr_valid_to)
  SELECT '100', partner, addrnumber, address_guid, 'X', 10101000000, 99991231235959
  FROM found WHERE reason IS NULL AND addrnumber <> ''
), w3 AS (
  INSERT INTO crm.adrc (client, addrnumber, date_from, nation, name1, city1, city2, post_code1, street, house_num1,
         house_num2, country, region, city_code, strt_code, time_zone, date_to, langu)
  SELECT '100', addrnumber, '00010101', '', coalesce(name1, ''), coalesce(city1, ''), coalesce(city2, ''),
         coalesce(post_code1, ''), coalesce(street, ''), coalesce(house_num1, ''), coalesce(house_num2, ''),
         coalesce(country, ''), coalesce(region, ''), coalesce(city_code, ''), coalesce(strt_code, ''),
         coalesce(time_zone, ''), '99991231', 'E'
  FROM found WHERE reason IS NULL AND addrnumber <> ''
), w4 AS (
  INSERT INTO crm.crmm_but_custno (client, partner_guid, customer_no, logsys)
  SELECT '100', partner_guid, partner, 'ISUCLNT100' FROM found WHERE reason IS NULL
)
INSERT INTO bench.refused SELECT 'business_partner', partner, reason FROM found WHERE reason IS NOT NULL;

-- section: contract_account
WITH found AS MATERIALIZED (
  SELECT bench.padded(k.vkont, 12) AS vkont, p.guid, b.partner_guid, rtrim(k.vkbez) AS vkbez, k.loevm,
         rtrim(k.vkona) AS vkona, CASE k.vktyp WHEN '01' THEN 'STANDARD' WHEN '02' THEN 'COLLECTIVE' ELSE '' END AS class,
         rtrim(p.exvko) AS exvko, rtrim(p.ebvty) AS ebvty, rtrim(p.abvty) AS abvty, rtrim(p.ezawe) AS ezawe,
         CASE WHEN count(*) OVER (PARTITION BY k.vkont) > 1 THEN 'key: ambiguous'
              WHEN p.vkont IS NULL THEN 'missing row in FKKVKP'
              WHEN p.guid = decode(repeat('00', 16), 'hex') THEN 'guid: required'
              WHEN k.vktyp = '03' THEN 'accounts of an internal class do not replicate'
              WHEN k.vktyp NOT IN ('', '01', '02') THEN 'class: code'
              WHEN k.loevm NOT IN ('', 'X') THEN 'deleted: flag'
              WHEN b.partner_guid IS NULL THEN 'waits for business_partner' END AS reason
  FROM isu.fkkvk k
  LEFT JOIN isu.fkkvkp p ON p.mandt = '100' AND p.vkont = k.vkont
  LEFT JOIN crm.but000 b ON b.client = '100' AND b.partner = bench.padded(p.gpart, 10)
  WHERE k.mandt = '100'
), w1 AS (
  INSERT INTO crm.crmm_buag (client, buag_guid, buag_id, text35, partner_guid, deletion_flag, buag_id_legacy,
         home_system, created_by, created_at)
  SELECT '100', guid, vkont, vkbez, partner_guid, loevm, vkona, 'ISUCLNT100', 'ISTHMUS',
         (:today || '000000')::numeric FROM found WHERE reason IS NULL
), w2 AS (
  INSERT INTO crm.crmm_buag_h (client, buag_guid, valid_to, buag_class, ref_number, bdid_in, bdid_out, pay_meth_in,
         valid_from)
  SELECT '100', guid, '99991231', class, exvko, ebvty, abvty, ezawe, '00010101' FROM found WHERE reason IS NULL
)
INSERT INTO bench.refused SELECT 'contract_account', vkont, reason FROM found WHERE reason IS NOT NULL;

-- section: connection_object
WITH found AS MATERIALIZED (
  SELECT upper(rtrim(e.haus)) AS haus, e.isthmus_guid AS guid, coalesce(rtrim(x.pltxt), '') AS pltxt,
         rtrim(e.regiogroup) AS regiogroup, coalesce(bench.padded(o.adrnr, 10), '') AS addrnumber,
         rtrim(d.city1) AS city1, rtrim(d.city2) AS city2, rtrim(d.post_code1) AS post_code1,
         rtrim(d.street) AS street, rtrim(d.house_num1) AS house_num1, rtrim(d.house_num2) AS house_num2,
         rtrim(d.country) AS country, d.region, rtrim(d.city_code) AS city_code, rtrim(d.strt_code) AS strt_code,
         rtrim(d.time_zone) AS time_zone, e.loevm,
         CASE WHEN count(*) OVER (PARTITION BY upper(e.haus)) > 1 THEN 'key: ambiguous'
              WHEN f.tplnr IS NULL THEN 'missing row in IFLOT'
              WHEN e.loevm NOT IN ('', 'X') THEN 'deleted: flag'
              WHEN e.haus_groesse !~ '^[0-9]*$' THEN 'dwellings: integer'
              WHEN NOT bench.region(d.region) THEN 'region: code' END AS reason
  FROM isu.ehauisu e
  LEFT JOIN isu.iflot f ON f.mandt = '100' AND f.tplnr = e.haus
  LEFT JOIN isu.iloa o ON o.mandt = '100' AND o.iloan = f.iloan
  LEFT JOIN isu.adrc d ON d.client = '100' AND d.addrnumber = o.adrnr AND d.date_from = '00010101' AND d.nation = ''
  LEFT JOIN isu.adrstreet s ON s.client = '100' AND s.country = d.country AND s.strt_code = d.strt_code
  LEFT JOIN isu.iflotx x ON x.mandt = '100' AND x.tplnr = e.haus AND x.spras = 'E'
  WHERE e.mandt = '100'
), w1 AS (
  INSERT INTO crm.comm_product (client, product_guid, product_id, text40, product_type, object_family, logsys, valid_to,
         created_by)
  SELECT '100', guid, haus, pltxt, '04', 'ZCON', 'ISUCLNT100', 99991231235959, 'ISTHMUS'
  FROM found WHERE reason IS NULL AND loevm = ''
), w2 AS (
  INSERT INTO crm.zconnobj (client, product_guid, haus, pltxt, addrnumber, regiogroup, isu_logsys)
  SELECT '100', guid, haus, pltxt, addrnumber, regiogroup, 'ISUCLNT100' FROM found WHERE reason IS NULL AND loevm = ''
), w3 AS (
  INSERT INTO crm.adrc (client, addrnumber, date_from, nation, city1, city2, post_code1, street, house_num1, house_num2,
         country, region, city_code, strt_code, time_zone, date_to, langu)
  SELECT '100', addrnumber, '00010101', '', coalesce(city1, ''), coalesce(city2, ''), coalesce(post_code1, ''),
         coalesce(street, ''), coalesce(house_num1, ''), coalesce(house_num2, ''), coalesce(country, ''),
         coalesce(region, ''), coalesce(city_code, ''), coalesce(strt_code, ''), coalesce(time_zone, ''),
         '99991231', 'E'
  FROM found WHERE reason IS NULL AND loevm = '' AND addrnumber <> ''
)
INSERT INTO bench.refused SELECT 'connection_object', haus, reason FROM found WHERE reason IS NOT NULL;

-- section: premise
WITH found AS MATERIALIZED (
  SELECT bench.padded(v.vstelle, 10) AS vstelle, v.isthmus_guid AS guid, z.product_guid AS connobj_guid, v.vbsart,
         rtrim(v.floor) AS floor, rtrim(v.lgzusatz) AS suppl, rtrim(v.haus_num2) AS haus_num2, v.loevm,
         CASE WHEN v.loevm NOT IN ('', 'X') THEN 'deleted: flag'
              WHEN v.vbsart NOT IN ('', 'FLAT', 'HOUSE', 'SHOP', 'FARM', 'GARAGE', 'PLANT') THEN 'kind: code'
              WHEN rtrim(v.haus) = '' THEN 'connection_object: required'
              WHEN z.product_guid IS NULL THEN 'waits for connection_object' END AS reason
  FROM isu.evbs v
  LEFT JOIN crm.zconnobj z ON z.client = '100' AND z.haus = upper(rtrim(v.haus))
  WHERE v.mandt = '100'
), w1 AS (
  INSERT INTO crm.comm_product (client, product_guid, product_id, product_type, object_family, logsys, valid_to,
         created_by)
  SELECT '100', guid, ltrim(vstelle, '0'), '04', 'ZPRE', 'ISUCLNT100', 99991231235959, 'ISTHMUS'
  FROM found WHERE reason IS NULL AND loevm = ''
), w2 AS (
  INSERT INTO crm.zpremise (client, product_guid, vstelle, connobj_guid, premise_type, floor, suppl, haus_num2)
  SELECT '100', guid, vstelle, connobj_guid, vbsart, floor, suppl, haus_num2
  FROM found WHERE reason IS NULL AND loevm = ''
)
INSERT INTO bench.refused SELECT 'premise', vstelle, reason FROM found WHERE reason IS NOT NULL;

-- section: point_of_delivery
WITH ids AS MATERIALIZED (
  SELECT t.int_ui, rtrim(t.ext_ui) AS ext_ui, rtrim(t.uistrutyp) AS uistrutyp, t.datefrom, t.timefrom, t.dateto,
         CASE WHEN t.dateto = '99991231' THEN '235959' ELSE t.timeto END AS timeto,
         count(*) OVER (PARTITION BY t.int_ui, t.dateto, CASE WHEN t.dateto = '99991231' THEN '' ELSE t.timeto END) > 1
           OR NOT bench.is_date(t.datefrom) OR NOT bench.is_date(t.dateto) OR rtrim(t.ext_ui) = ''
           OR t.timefrom !~ '^([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]$'
           OR t.timeto !~ '^([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]$'
           OR (t.dateto <> '99991231' AND (t.dateto, t.timeto) < (t.datefrom, t.timefrom)) AS wrong
  FROM isu.euitrans t WHERE t.mandt = '100'
), found AS MATERIALIZED (
  SELECT h.int_ui AS raw, rtrim(h.int_ui) AS int_ui, h.isthmus_guid AS guid, z.product_guid AS premise_guid,
         rtrim(h.uitype) AS uitype, h.loevm,
         CASE WHEN count(*) OVER (PARTITION BY h.int_ui) > 1 THEN 'key: ambiguous'
              WHEN h.loevm NOT IN ('', 'X') THEN 'deleted: flag'
              WHEN rtrim(h.vstelle) = '' THEN 'premise: required'
              WHEN h.int_ui IN (SELECT int_ui FROM ids WHERE wrong) THEN 'external_ids: period or repeated'
              WHEN z.product_guid IS NULL THEN 'waits for premise' END AS reason
  FROM isu.euihead h
  LEFT JOIN isu.euitrans t ON t.mandt = '100' AND t.int_ui = h.int_ui AND t.datefrom <= :today AND t.dateto >= :today
  LEFT JOIN crm.zpremise z ON z.client = '100' AND z.vstelle = bench.padded(h.vstelle, 10)
  WHERE h.mandt = '100'
), w1 AS (
  INSERT INTO crm.comm_product (client, product_guid, product_id, product_type, object_family, logsys, valid_to,
         created_by)
  SELECT '100', guid, int_ui, '04', 'ZPOD', 'ISUCLNT100', 99991231235959, 'ISTHMUS'
  FROM found WHERE reason IS NULL AND loevm = ''
), w2 AS (
  INSERT INTO crm.zisupod (client, product_guid, int_ui, premise_guid, uitype)
  SELECT '100', guid, int_ui, premise_guid, uitype FROM found WHERE reason IS NULL AND loevm = ''
), w3 AS (
  INSERT INTO crm.zisupod_ext (client, product_guid, valid_to, valid_to_time, valid_from, valid_from_time, ext_ui,
         id_type)
  SELECT '100', f.guid, i.dateto, i.timeto, i.datefrom, i.timefrom, i.ext_ui, i.uistrutyp
  FROM ids i JOIN found f ON f.raw = i.int_ui WHERE f.reason IS NULL AND f.loevm = ''
)
INSERT INTO bench.refused SELECT 'point_of_delivery', int_ui, reason FROM found WHERE reason IS NOT NULL;

-- section: installation
WITH found AS MATERIALIZED (
  SELECT bench.padded(a.anlage, 10) AS anlage, a.isthmus_guid AS guid, z.product_guid AS premise_guid,
         o.product_guid AS pod_guid, CASE a.sparte WHEN '07' THEN '01' ELSE a.sparte END AS division, a.service,
         coalesce(rtrim(h.tariftyp), '') AS tariftyp, coalesce(rtrim(h.aklasse), '') AS aklasse, a.loevm,
         CASE WHEN count(*) OVER (PARTITION BY a.anlage) > 1 THEN 'key: ambiguous'
              WHEN a.loevm NOT IN ('', 'X') THEN 'deleted: flag'
              WHEN a.sparte NOT IN ('01', '02', '03', '04', '05', '06', '07') THEN 'division: code'
              WHEN a.service NOT IN ('', 'ESUP', 'EGRD', 'GSUP', 'GGRD', 'WSUP', 'WGRD', 'HSUP', 'HGRD')
                THEN 'service: code'
              WHEN c.intcode NOT IN ('', '01', '02') THEN 'usage: code'
              WHEN a.spebene NOT IN ('', '01', '02', '03', '04', '05') THEN 'voltage_level: code'
              WHEN rtrim(a.vstelle) = '' THEN 'premise: required'
              WHEN z.product_guid IS NULL THEN 'waits for premise'
              WHEN o.product_guid IS NULL AND i.int_ui IS NOT NULL THEN 'waits for point_of_delivery' END AS reason
  FROM isu.eanl a
  LEFT JOIN isu.eanlh h ON h.mandt = '100' AND h.anlage = a.anlage AND h.ab <= :today AND h.bis >= :today
  LEFT JOIN isu.euiinstln i ON i.mandt = '100' AND i.anlage = a.anlage AND i.datefrom <= :today AND i.dateto >= :today
  LEFT JOIN isu.tecde c ON c.mandt = '100' AND c.service = a.service
  LEFT JOIN crm.zpremise z ON z.client = '100' AND z.vstelle = bench.padded(a.vstelle, 10)
  LEFT JOIN crm.zisupod o ON o.client = '100' AND o.int_ui = rtrim(i.int_ui)
  WHERE a.mandt = '100'
), w1 AS (
  INSERT INTO crm.comm_product (client, product_guid, product_id, product_type, object_family, logsys, valid_to,
         created_by)
  SELECT '100', guid, ltrim(anlage, '0'), '04', 'ZINS', 'ISUCLNT100', 99991231235959, 'ISTHMUS'
  FROM found WHERE reason IS NULL AND loevm = ''
), w2 AS (
  INSERT INTO crm.zinstalln (client, product_guid, anlage, pod_guid, premise_guid, division, service, tariftyp,
         billing_class)
  SELECT '100', guid, anlage, coalesce(pod_guid, decode(repeat('00', 16), 'hex')), premise_guid, division, service,
         tariftyp, aklasse FROM found WHERE reason IS NULL AND loevm = ''
)
INSERT INTO bench.refused SELECT 'installation', anlage, reason FROM found WHERE reason IS NOT NULL;

-- section: device
WITH places AS MATERIALIZED (
  SELECT p.equnr, p.ab, p.bis, z.product_guid AS installn_guid, bench.padded(u.logiknr, 18) AS logiknr,
         CASE WHEN NOT bench.is_date(p.ab) OR NOT bench.is_date(p.bis) OR p.bis < p.ab THEN 'installations: period'
              WHEN z.product_guid IS NULL THEN 'waits for installation'
              WHEN count(*) OVER (PARTITION BY p.equnr, u.anlage, p.bis) > 1 THEN 'installations: repeated' END AS reason
  FROM isu.egerh p
  JOIN isu.eastl u ON u.mandt = '100' AND u.logiknr = p.logiknr AND u.ab <= p.bis AND u.bis >= p.ab
  LEFT JOIN crm.zinstalln z ON z.client = '100' AND z.anlage = bench.padded(u.anlage, 10)
  WHERE p.mandt = '100'
), registers AS MATERIALIZED (
  SELECT r.equnr, bench.padded(r.zwnummer, 3) AS register_no, r.ab, r.bis, bench.padded(r.logikzw, 18) AS logikzw,
         rtrim(r.kennziff) AS kennziff, r.massread, lpad(r.stanzvor, 2, '0') AS stanzvor,
         lpad(r.stanznac, 2, '0') AS stanznac,
         CASE WHEN NOT bench.is_date(r.ab) OR NOT bench.is_date(r.bis) OR r.bis < r.ab THEN 'registers: period'
              WHEN r.massread NOT IN ('', 'KWH', 'WH', 'MWH', 'KVR', 'VAR', 'KVH', 'KW', 'KVA', 'M3')
                THEN 'registers: unit'
              WHEN r.stanzvor !~ '^[0-9]*$' OR r.stanznac !~ '^[0-9]*$' THEN 'registers: digits' END AS reason
  FROM isu.etdz r WHERE r.mandt = '100'
), taken AS (
  SELECT DISTINCT q.equnr, q.isthmus_guid AS guid, rtrim(q.sernr) AS sernr, rtrim(q.matnr) AS matnr,
         lpad(e.baujahr, 4, '0') AS baujahr, e.bgljahr, e.wechsel, e.equnr IS NULL AS missing, j.stat,
         u.logiknr IS NOT NULL AS installed, h.devloc, t.ext_ui
  FROM isu.equi q
  LEFT JOIN isu.egers e ON e.mandt = '100' AND e.equnr = q.equnr
  LEFT JOIN isu.jest j ON j.mandt = '100' AND j.objnr = q.objnr AND j.inact = ''
  LEFT JOIN isu.egerh h ON h.mandt = '100' AND h.equnr = q.equnr AND h.ab <= :today AND h.bis >= :today
  LEFT JOIN isu.eastl u ON u.mandt = '100' AND u.logiknr = h.logiknr AND u.ab <= :today AND u.bis >= :today
  LEFT JOIN isu.euiinstln i ON i.mandt = '100' AND i.anlage = u.anlage AND i.datefrom <= :today AND i.dateto >= :today
  LEFT JOIN isu.euitrans t ON t.mandt = '100' AND t.int_ui = i.int_ui AND t.datefrom <= :today AND t.dateto >= :today
  WHERE q.mandt = '100' AND q.eqtyp = 'I'
), faults AS MATERIALIZED (
  SELECT equnr, min(reason) AS reason FROM (
    SELECT equnr, reason FROM places WHERE reason IS NOT NULL
    UNION ALL SELECT equnr, reason FROM registers WHERE reason IS NOT NULL) x GROUP BY equnr
), found AS MATERIALIZED (
  SELECT t.equnr AS raw, bench.padded(t.equnr, 18) AS equnr, t.guid, t.sernr, t.matnr, coalesce(t.baujahr, '') AS baujahr,
         coalesce(t.stat, '') AS stat,
         CASE WHEN count(*) OVER (PARTITION BY t.equnr) > 1 THEN 'key: ambiguous'
              WHEN t.missing THEN 'missing row in EGERS'
              WHEN t.stat NOT IN ('I0099', 'I0100') THEN 'status: code'
              WHEN t.baujahr !~ '^[0-9]*$' OR t.bgljahr !~ '^[0-9]*$' OR t.wechsel !~ '^[0-9]*$' THEN 'year: integer'
              ELSE f.reason END AS reason
  FROM taken t LEFT JOIN faults f ON f.equnr = t.equnr
), w1 AS (
  INSERT INTO crm.comm_product (client, product_guid, product_id, product_type, object_family, logsys, valid_to,
         created_by)
  SELECT '100', guid, ltrim(equnr, '0'), '04', 'ZDEV', 'ISUCLNT100', 99991231235959, 'ISTHMUS'
  FROM found WHERE reason IS NULL
), w2 AS (
  INSERT INTO crm.zdevice (client, product_guid, equnr, kind, sernr, matnr, manufactured_year, status)
  SELECT '100', guid, equnr, 'E', sernr, matnr, baujahr, stat FROM found WHERE reason IS NULL
), w3 AS (
  INSERT INTO crm.zdevice_inst (client, product_guid, installn_guid, valid_to, valid_from, logiknr)
  SELECT '100', f.guid, p.installn_guid, p.bis, p.ab, p.logiknr
  FROM places p JOIN found f ON f.raw = p.equnr WHERE f.reason IS NULL
), w4 AS (
  INSERT INTO crm.zregister (client, product_guid, register_no, valid_to, valid_from, logikzw, kennziff, unit,
         digits_before, digits_after)
  SELECT '100', f.guid, r.register_no, r.bis, r.ab, r.logikzw, r.kennziff, r.massread, r.stanzvor, r.stanznac
  FROM registers r JOIN found f ON f.raw = r.equnr WHERE f.reason IS NULL
)
INSERT INTO bench.refused SELECT 'device', equnr, reason FROM found WHERE reason IS NOT NULL;

-- section: product
INSERT INTO bench.refused
SELECT 'product', encode(h.product_guid, 'hex'), 'create never'
FROM (SELECT DISTINCT product_guid, crm_product FROM isu.everh WHERE mandt = '100'
      AND product_guid <> decode(repeat('00', 16), 'hex')) h
WHERE NOT EXISTS (SELECT FROM crm.comm_product c WHERE c.client = '100' AND c.product_guid = h.product_guid
                  AND c.product_type = '02');

-- section: contract
WITH found AS MATERIALIZED (
  SELECT bench.padded(v.vertrag, 10) AS vertrag,
         CASE WHEN l.contractpos <> decode(repeat('00', 16), 'hex') THEN l.contractpos ELSE v.isthmus_guid END AS guid,
         v.isthmus_header AS header, coalesce(p.product_guid, decode(repeat('00', 16), 'hex')) AS product,
         coalesce(rtrim(h.crm_product), '') AS crm_product, rtrim(v.vbez) AS vbez,
         CASE c.intcode WHEN '01' THEN '2' WHEN '02' THEN '1' ELSE '' END AS usage,
         coalesce(translate(rtrim(encode(o.product_guid, 'base64'), '='),
                   'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
                   '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz{}'), '') AS pod,
         CASE v.sparte WHEN '07' THEN '01' ELSE v.sparte END AS division, b.buag_guid,
         bench.padded(k.gpart, 10) AS gpart, q.partner_guid, v.einzdat,
         CASE WHEN v.auszdat = '00000000' THEN '99991231' ELSE v.auszdat END AS auszdat, v.loevm,
         CASE WHEN count(*) OVER (PARTITION BY v.vertrag) > 1 THEN 'key: ambiguous'
              WHEN a.anlage IS NULL THEN 'missing row in EANL'
              WHEN k.vkont IS NULL THEN 'missing row in FKKVKP'
              WHEN v.anlage = '' THEN 'the contract has no installation'
              WHEN v.sparte NOT IN ('01', '02', '03', '04', '05', '06', '07') THEN 'division: code'
              WHEN c.intcode NOT IN ('', '01', '02') THEN 'usage: code'
              WHEN v.abrsperr NOT IN ('', '01', '02', '03') THEN 'billing_block: code'
              WHEN v.loevm NOT IN ('', 'X') THEN 'deleted: flag'
              WHEN v.einzdat = '00000000' OR NOT bench.is_date(v.einzdat) THEN 'starts_on: date'
              WHEN NOT bench.is_date(v.auszdat) OR NOT bench.is_date(v.kuenddat) THEN 'ends_on: date'
              WHEN NOT bench.is_date(e.endabrpe) THEN 'billed_until: date'
              WHEN v.auszdat < v.einzdat AND v.auszdat <> '00000000' THEN 'the contract ends before it starts'
              WHEN b.buag_guid IS NULL THEN 'waits for contract_account'
              WHEN q.partner_guid IS NULL THEN 'waits for business_partner'
              WHEN o.product_guid IS NULL AND i.int_ui IS NOT NULL THEN 'waits for point_of_delivery'
              WHEN p.product_guid IS NULL AND h.product_guid <> decode(repeat('00', 16), 'hex')
                THEN 'waits for product' END AS reason
  FROM isu.ever v
  LEFT JOIN isu.eanl a ON a.mandt = '100' AND a.anlage = v.anlage
  LEFT JOIN isu.tecde c ON c.mandt = '100' AND c.service = a.service
  LEFT JOIN isu.fkkvkp k ON k.mandt = '100' AND k.vkont = v.vkonto
  LEFT JOIN isu.euiinstln i ON i.mandt = '100' AND i.anlage = v.anlage AND i.datefrom <= :today AND i.dateto >= :today
  LEFT JOIN isu.everh h ON h.mandt = '100' AND h.vertrag = v.vertrag AND h.ab <= :today AND h.bis >= :today
  LEFT JOIN isu.everh l ON l.mandt = '100' AND l.vertrag = v.vertrag AND l.ab <= v.auszdat AND l.bis >= v.auszdat
  LEFT JOIN isu.eeinv n ON n.mandt = '100' AND n.vertrag = v.vertrag AND n.einzdat = v.einzdat AND n.stornokz = 'X'
  LEFT JOIN LATERAL (SELECT * FROM isu.erch e WHERE e.mandt = '100' AND e.vertrag = v.vertrag AND e.simulation = ''
       AND e.stornodat = '00000000' ORDER BY e.endabrpe DESC, e.belnr DESC LIMIT 1) e ON true
  LEFT JOIN crm.crmm_buag b ON b.client = '100' AND b.buag_id = bench.padded(v.vkonto, 12)
  LEFT JOIN crm.but000 q ON q.client = '100' AND q.partner = bench.padded(k.gpart, 10)
  LEFT JOIN crm.zisupod o ON o.client = '100' AND o.int_ui = rtrim(i.int_ui)
  LEFT JOIN crm.comm_product p ON p.client = '100' AND p.product_guid = h.product_guid AND p.product_type = '02'
  WHERE v.mandt = '100'
), w1 AS (
  INSERT INTO crm.crmd_orderadm_i (client, guid, product, ordered_prod, description, header, number_int, itm_type,
         object_type, created_by, created_at)
  SELECT '100', guid, product, crm_product, vbez, header, '0000000010', 'UTIL', 'BUS2000149', 'ISTHMUS',
         (:today || '000000')::numeric FROM found WHERE reason IS NULL
), w2 AS (
  INSERT INTO crm.crmd_orderadm_h (client, guid, description, object_id, process_type, descr_language, logical_system,
         created_by, created_at, object_type)
  SELECT '100', header, vbez, lpad(nextval('bench.orders')::text, 10, '0'), 'ISUC', 'E', 'CRMCLNT100', 'ISTHMUS',
         (:today || '000000')::numeric, 'BUS2000249' FROM found WHERE reason IS NULL
), w3 AS (
  INSERT INTO crm.crmd_isuexta4 (client, guid, a4type, a4isucontr, a4podguid, a4division, a4buagguid, a4bpno, a4bpguid,
         a4contstart, a4contend, a4cancelled, a4isulogsys)
  SELECT '100', guid, usage, vertrag, pod, division, buag_guid, gpart, partner_guid, einzdat, auszdat, loevm,
         'ISUCLNT100' FROM found WHERE reason IS NULL
), w4 AS (
  INSERT INTO crm.crm_jest (mandt, objnr, stat, chgnr)
  SELECT '100', guid, 'I1004', '001' FROM found WHERE reason IS NULL
)
INSERT INTO bench.refused SELECT 'contract', vertrag, reason FROM found WHERE reason IS NOT NULL;
