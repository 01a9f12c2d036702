-- What the source tables say, read by hand in DuckDB: isu.*, crm.* and tel.* are the systems' tables as they stand
-- (one client, raw keys in hex), codes is mappings/codes.  Nothing here knows the engine or the warehouse.

CREATE MACRO number(raw) AS
    CASE WHEN regexp_matches(raw, '^[0-9]+$') THEN nullif(ltrim(raw, '0'), '') ELSE nullif(trim(raw), '') END;
CREATE MACRO said(raw) AS nullif(trim(raw), '');
CREATE MACRO day(dats) AS CASE WHEN dats NOT IN ('00000000', '') THEN strptime(dats, '%Y%m%d')::DATE END;
CREATE MACRO open_day(dats) AS CASE WHEN dats NOT IN ('00000000', '', '99991231') THEN strptime(dats, '%Y%m%d')::DATE END;
CREATE MACRO moment(stamp) AS strptime(stamp::BIGINT::VARCHAR, '%Y%m%d%H%M%S') AT TIME ZONE 'UTC';
CREATE MACRO month(d) AS date_trunc('month', d)::DATE;
CREATE MACRO ten(digits) AS list_product(list_resize([]::BIGINT[], digits, 10))::HUGEINT;
-- Whole numbers only: a quotient rounded half away from zero, exactly.
CREATE MACRO quotient(n, d) AS sign(n)::HUGEINT * ((2 * abs(n) + abs(d)) // (2 * abs(d))) * sign(d)::HUGEINT;
CREATE MACRO thousandths(q) AS (q::DECIMAL(30, 3) * 1000)::HUGEINT;
CREATE MACRO cents(a) AS (a::DECIMAL(30, 2) * 100)::HUGEINT;
CREATE MACRO of_thousandths(n) AS (n::DECIMAL(30, 0) * 0.001::DECIMAL(4, 3))::DECIMAL(30, 3);
CREATE MACRO of_cents(n) AS (n::DECIMAL(30, 0) * 0.01::DECIMAL(3, 2))::DECIMAL(30, 2);
CREATE MACRO share4(n, d) AS CASE WHEN d <> 0 THEN quotient((n)::HUGEINT * 10000, (d)::HUGEINT)::DECIMAL(30, 0) * 0.0001::DECIMAL(5, 4) END;
CREATE MACRO share2(n, d) AS CASE WHEN d <> 0 THEN quotient((n)::HUGEINT * 100, (d)::HUGEINT)::DECIMAL(30, 0) * 0.01::DECIMAL(3, 2) END;
CREATE MACRO share1(n, d) AS CASE WHEN d <> 0 THEN quotient((n)::HUGEINT * 10, (d)::HUGEINT)::DECIMAL(30, 0) * 0.1::DECIMAL(2, 1) END;
CREATE MACRO share5(n, d) AS CASE WHEN d <> 0 THEN quotient((n)::HUGEINT * 100000, (d)::HUGEINT)::DECIMAL(30, 0) * 0.00001::DECIMAL(6, 5) END;
CREATE MACRO coded(code_table, in_system, as_spelled) AS
    (SELECT any_value(c.value) FROM codes AS c WHERE c.code = code_table AND c.system = in_system AND c.spelled = as_spelled);

-- ---- IS-U --------------------------------------------------------------------------------------------------------

CREATE TABLE customers AS
SELECT number(partner) AS customer, partner_guid AS guid, said(bpkind) AS segment,
    coded('partner_kind', 'isu', but000.type) AS kind, coded('region', 'isu', adrc.region) AS region
FROM isu.but000
LEFT JOIN isu.but020 USING (partner)
LEFT JOIN isu.adrc ON adrc.addrnumber = but020.addrnumber AND date_from = '00010101' AND nation = ''
WHERE xdele = '' AND xdfadr IS NOT DISTINCT FROM 'X';

CREATE TABLE places AS
SELECT number(eanl.anlage) AS installation, coded('division', 'isu', eanl.sparte) AS division, tecde.intcode, coded('region', 'isu', adrc.region) AS region,
    said(slice.tariftyp) AS rate_category, said(slice.aklasse) AS billing_class
FROM isu.eanl
LEFT JOIN isu.tecde USING (service)
LEFT JOIN isu.evbs USING (vstelle)
LEFT JOIN isu.iflot ON upper(trim(iflot.tplnr)) = upper(trim(evbs.haus))
LEFT JOIN isu.iloa ON iloa.iloan = iflot.iloan
LEFT JOIN isu.adrc ON adrc.addrnumber = iloa.adrnr AND date_from = '00010101' AND nation = ''
LEFT JOIN isu.eanlh AS slice
    ON slice.anlage = eanl.anlage AND getvariable('today') BETWEEN day(slice.ab) AND day(slice.bis);

CREATE TABLE contracts AS
SELECT number(ever.vertrag) AS contract, number(ever.anlage) AS installation, customers.customer, segment,
    CASE intcode WHEN '01' THEN 'grid' WHEN '02' THEN 'supply' END AS usage,
    coded('division', 'isu', ever.sparte) AS division, places.region, places.rate_category, places.billing_class,
    said(product.crm_product) AS product,
    day(einzdat) AS first_day, open_day(auszdat) AS last_day, day(kuenddat) AS cancelled_on, coded('loss_reason', 'isu', ever.sswtcreason) AS loss_reason,
    EXISTS (SELECT 1 FROM isu.eeinv AS e WHERE e.vertrag = ever.vertrag AND e.einzdat = ever.einzdat AND e.stornokz = 'X')
        AS undone
FROM isu.ever
JOIN isu.fkkvkp ON fkkvkp.vkont = ever.vkonto
LEFT JOIN customers ON customers.customer = number(fkkvkp.gpart)
LEFT JOIN places ON places.installation = number(ever.anlage)
LEFT JOIN isu.everh AS product
    ON product.vertrag = ever.vertrag AND getvariable('today') BETWEEN day(product.ab) AND day(product.bis)
WHERE ever.loevm = '' AND (open_day(auszdat) IS NULL OR day(einzdat) IS NULL OR open_day(auszdat) >= day(einzdat))
    AND ever.anlage <> '';

CREATE TABLE bills AS
SELECT belnr AS document, number(vertrag) AS contract, number(gpartner) AS customer, coded('division', 'isu', erch.sparte) AS division,
    coded('billing_reason', 'isu', erch.abrvorg) AS kind, said(erch.kofiz) AS account_class, said(erch.bukrs) AS company, said(erch.portion) AS portion,
    day(belegdat) AS posted_on, day(begabrpe) AS first_day, day(endabrpe) AS last_day, day(stornodat) AS reversed_on
FROM isu.erch
WHERE simulation = '';

CREATE TABLE lines AS
SELECT bills.*, z1.belzeile, coded('line_kind', 'isu', z1.belzart) AS line_kind, coded('unit', 'isu', z1.massbill) AS unit,
    said(z1.tariftyp) AS rate_category, said(z1.stattart) AS rate_type, said(z1.aklasse) AS billing_class,
    day(z1.ab) AS since, day(z1.bis) AS until, date_diff('day', day(z1.ab), day(z1.bis)) + 1 AS days,
    thousandths(z1.v_abrmenge + z1.n_abrmenge) AS quantity, cents(z3.nettobtr) AS amount, z3.twaers AS currency,
    services.intcode IS NOT DISTINCT FROM '01' AS grid,
    contracts.region, contracts.product, contracts.usage,
    -- as it was on the day of the bill
    CASE WHEN posted_on < getvariable('changed_on') THEN ago.segment ELSE customers.segment END AS segment,
    CASE WHEN posted_on < getvariable('changed_on') THEN ago.region ELSE customers.region END AS customer_region,
    customers.region AS region_now
FROM bills
JOIN isu.dberchz1 AS z1 ON z1.belnr = bills.document
JOIN isu.dberchz3 AS z3 ON z3.belnr = z1.belnr AND z3.belzeile = z1.belzeile
LEFT JOIN contracts ON contracts.contract = bills.contract
LEFT JOIN customers ON customers.customer = bills.customer
LEFT JOIN customers_before AS ago ON ago.customer = bills.customer
LEFT JOIN isu.ever AS own ON number(own.vertrag) = bills.contract
LEFT JOIN isu.eanl AS place ON place.anlage = own.anlage
LEFT JOIN isu.tecde AS services ON services.service = place.service;

CREATE TABLE standing_lines AS SELECT * FROM lines WHERE reversed_on IS NULL;

-- Each line cut into its months, thousandths and cents: what is due up to a month's end less what was due before it.
CREATE TABLE months_of_lines AS
SELECT lines.*, m::DATE AS month,
    quotient(quantity * done, days) - quotient(quantity * before, days) AS month_quantity,
    quotient(amount * done, days) - quotient(amount * before, days) AS month_amount,
    done - before AS month_days
FROM standing_lines AS lines,
    LATERAL (SELECT unnest(generate_series(date_trunc('month', since), until, INTERVAL 1 MONTH)) AS m),
    LATERAL (SELECT
        date_diff('day', since, least(until, (m + INTERVAL 1 MONTH)::DATE - 1)) + 1 AS done,
        date_diff('day', since, greatest(since, m::DATE)) AS before);

-- Steps of contracts into the stock and out of it.
CREATE TABLE placed AS
SELECT *,
    lag(customer) OVER same_place AS former_customer,
    lead(customer) OVER same_place AS next_customer
FROM contracts
WHERE NOT undone AND first_day IS NOT NULL AND (last_day IS NULL OR last_day >= first_day)
WINDOW same_place AS (PARTITION BY installation ORDER BY first_day, contract);

-- Meters, with equipment behind them or as info records, and where they hung from when to when.
CREATE TABLE meters AS
SELECT equnr, 'technical' AS kind, said(matnr) AS material, coded('device_status', 'isu', stat) AS status
FROM isu.equi LEFT JOIN isu.jest ON jest.objnr = equi.objnr AND inact = ''
WHERE eqtyp = 'I'
UNION ALL
SELECT DISTINCT equnr, 'info_record', said(matnr), NULL FROM isu.egerr;

CREATE TABLE hung AS
SELECT DISTINCT meters.equnr, kind, material, anlage, day(slices.ab) AS first_day, open_day(slices.bis) AS last_day
FROM (SELECT equnr, logiknr, ab, bis FROM isu.egerh UNION ALL SELECT equnr, logiknr, ab, bis FROM isu.egerr) AS slices
JOIN meters USING (equnr)
JOIN isu.eastl AS uses ON uses.logiknr = slices.logiknr AND uses.ab <= slices.bis AND uses.bis >= slices.ab;

-- ---- CRM ---------------------------------------------------------------------------------------------------------

CREATE TABLE quotations AS
SELECT h.object_id || '.' || i.number_int AS quotation, customers.customer, segment, said(i.ordered_prod) AS product,
    coded('division', 'crm', a.a4division) AS division, CASE a.a4type WHEN '1' THEN 'supply' WHEN '2' THEN 'grid' END AS usage,
    coded('sales_channel', 'crm', o.dis_channel) AS channel, coded('region', 'crm', z.zzregion) AS region, coded('quotation_status', 'crm', s.stat) AS status, coded('sales_reason', 'crm', y.code) AS reason,
    day(h.posting_date) AS made_on, day(j.udate) AS decided_on, cents(p.net_value) AS amount,
    thousandths(p.quantity) AS quantity, coded('unit', 'crm', p.quan_unit) AS unit, p.currency, cents(p.zzgrid_cost) AS grid_cost,
    cents(p.zzprocure_cost) AS procurement_cost, cents(p.zzprocess_cost) AS processing_cost,
    cents(p.zzsales_cost) AS sales_cost, number(a.a4isucontr) AS contract
FROM crm.crmd_orderadm_i AS i
JOIN crm.crmd_orderadm_h AS h ON h.guid = i.header AND h.object_type = 'BUS2000115'
JOIN crm.crmd_isuexta4 AS a ON a.guid = i.guid AND a.a4quotation = 'X' AND a.a4cancelled = ''
JOIN crm.crmd_pricing_i AS p ON p.guid = i.guid
JOIN crm.crm_jest AS s ON s.objnr = i.guid AND s.inact = ''
LEFT JOIN crm.crm_jcds AS j ON j.objnr = s.objnr AND j.stat = s.stat AND j.chgnr = s.chgnr
JOIN crm.crmd_link AS l ON l.guid_hi = h.guid AND l.objtype_set = '21'
JOIN crm.crmd_orgman AS o ON o.guid = l.guid_set
JOIN crm.crmd_customer_h AS z ON z.guid = h.guid
LEFT JOIN crm.crmd_link AS w ON w.guid_hi = i.guid AND w.objtype_set = '29'
LEFT JOIN crm.crmd_subject AS y ON y.guid = w.guid_set
LEFT JOIN customers ON customers.guid = a.a4bpguid
WHERE i.object_type = 'BUS2000131';

CREATE TABLE opportunities AS
SELECT number(h.object_id) AS opportunity, coded('opportunity_stage', 'crm', o.curr_phase) AS stage, coded('opportunity_outcome', 'crm', s.stat) AS outcome, coded('sales_reason', 'crm', y.code) AS reason,
    o.probability::INTEGER AS probability, day(h.posting_date) AS made_on, day(j.udate) AS closed_on,
    cents(o.exp_revenue) AS amount, quotient(cents(o.exp_revenue) * o.probability::INTEGER, 100) AS weighted, o.currency
FROM crm.crmd_orderadm_h AS h
JOIN crm.crmd_opport_h AS o ON o.guid = h.guid
JOIN crm.crm_jest AS s ON s.objnr = h.guid AND s.inact = ''
LEFT JOIN crm.crm_jcds AS j ON j.objnr = s.objnr AND j.stat = s.stat AND j.chgnr = s.chgnr
LEFT JOIN crm.crmd_link AS w ON w.guid_hi = h.guid AND w.objtype_set = '29'
LEFT JOIN crm.crmd_subject AS y ON y.guid = w.guid_set
WHERE h.object_type = 'BUS2000111';

CREATE TABLE contacts AS
SELECT number(h.object_id) AS contact, customers.customer, customers.segment, coded('contact_channel', 'crm', a.category) AS channel,
    coded('direction', 'crm', a.direction) AS direction, coded('contact_reason', 'crm', w.code) AS reason, said(h.created_by) AS agent, said(o.service_team) AS team,
    moment(h.created_at) AS began, month((moment(h.created_at) AT TIME ZONE 'Europe/Berlin')::DATE) AS month
FROM crm.crmd_orderadm_h AS h
JOIN crm.crmd_activity_h AS a ON a.guid = h.guid
LEFT JOIN (crm.crmd_link AS pl JOIN crm.crmd_partner AS p ON p.guid = pl.guid_set AND p.partner_fct = '00000009')
    ON pl.guid_hi = h.guid AND pl.objtype_set = '07'
LEFT JOIN (crm.crmd_link AS ol JOIN crm.crmd_orgman AS o ON o.guid = ol.guid_set)
    ON ol.guid_hi = h.guid AND ol.objtype_set = '21'
LEFT JOIN (crm.crmd_link AS wl JOIN crm.crmd_subject AS w ON w.guid = wl.guid_set)
    ON wl.guid_hi = h.guid AND wl.objtype_set = '29'
LEFT JOIN customers ON customers.guid = p.partner_no
WHERE h.object_type = 'BUS2000126'
    AND NOT EXISTS (SELECT 1 FROM crm.crm_jest AS s WHERE s.objnr = h.guid AND s.stat = 'I1032' AND s.inact = '');

-- ---- telephony -----------------------------------------------------------------------------------------------------

CREATE TABLE calls AS
SELECT (moment(interval_start) AT TIME ZONE 'Europe/Berlin') AS began, queue, agent, direction,
    offered::BIGINT AS offered, answered::BIGINT AS answered, abandoned::BIGINT AS abandoned,
    abandoned_short::BIGINT AS abandoned_short, answered_20s::BIGINT AS in_threshold, wait_seconds::BIGINT AS waited,
    talk_seconds::BIGINT + hold_seconds::BIGINT + wrap_seconds::BIGINT AS handled
FROM tel.calls;
