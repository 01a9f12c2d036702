{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['source', 'document', 'line'],
          indexes=[{'columns': ['source', 'document', 'line'], 'unique': true}, {'columns': ['posted_on']},
                   {'columns': ['customer']}]) }}
-- The newest record of each line, as it arrived; deletes stay as marks.
SELECT DISTINCT ON (source, document, line) *
FROM raw.lines
{% if is_incremental() %}WHERE arrived > (SELECT max(arrived) FROM {{ this }}){% endif %}
ORDER BY source, document, line, arrived DESC
