{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='PARTITION',
          indexes=[{'columns': ['PARTITION']}]) }}
-- One cube: in an increment the partitions that any new record touches are made anew.  dbt_peer.py fills in the cube's
-- own cells and what it is cut by.
{% set records %}
(SELECT 1 AS sign, l.* FROM {{ ref('lines') }} AS l WHERE NOT l.deleted
{% if is_incremental() %}
    AND EXPRESSION IN (SELECT EXPRESSION FROM raw.lines AS l WHERE arrived > {{ var('since') }})
{% endif %})
{% endset %}
CELLS
