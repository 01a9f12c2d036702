-- What the control tables hold, for whoever looks at them with a SQL tool.
COMMENT ON SCHEMA warehouse IS 'Data of the warehouse: inbound, active, change log, history, facts, totals, and their control tables. People read schema analysis.';
COMMENT ON SCHEMA analysis IS 'Views for people: one per cube, balance, distinct count, dimension and store, with freshness and completeness.';
COMMENT ON SEQUENCE warehouse.request_ids IS 'Numbers of requests, in the order they were opened.';

COMMENT ON TABLE warehouse.requests IS 'One row per request: a load of one store from one source, with its state and how far it read.';
COMMENT ON COLUMN warehouse.requests.request_id IS 'Number of the request; a later load has a higher one.';
COMMENT ON COLUMN warehouse.requests.store IS 'Store it loads.';
COMMENT ON COLUMN warehouse.requests.source IS 'System the records come from; warehouse for records made of other stores.';
COMMENT ON COLUMN warehouse.requests.mode IS 'How it reads: INIT, INIT_NODATA, DELTA, REPEAT, FULL, REPAIR_FULL, CORRECTION or REVERSAL.';
COMMENT ON COLUMN warehouse.requests.load_key IS 'Digest of what was asked for; the same delivery twice meets the request that exists.';
COMMENT ON COLUMN warehouse.requests.state IS 'OPEN, LOADED, CHECKED, ACTIVE, ROLLED_UP, PUBLISHED, COMPRESSED; or FAILED, DELETED.';
COMMENT ON COLUMN warehouse.requests.because IS 'Why it failed or was deleted.';
COMMENT ON COLUMN warehouse.requests.records IS 'Records that arrived, held ones included.';
COMMENT ON COLUMN warehouse.requests.excluded IS 'Records that were held and changed nothing.';
COMMENT ON COLUMN warehouse.requests.changed IS 'Records that changed active data.';
COMMENT ON COLUMN warehouse.requests.control IS 'Control totals of the source and of what arrived.';
COMMENT ON COLUMN warehouse.requests.cursor_from IS 'Where reading began at the source.';
COMMENT ON COLUMN warehouse.requests.cursor_to IS 'Where reading ended; the next delta begins there.';
COMMENT ON COLUMN warehouse.requests.parent_request_id IS 'Request that this one corrects, repeats or reverses.';
COMMENT ON COLUMN warehouse.requests.run IS 'Run that opened it.';
COMMENT ON COLUMN warehouse.requests.as_of IS 'Day from which values are valid in the history.';
COMMENT ON COLUMN warehouse.requests.publication IS 'Publication that made it visible in schema analysis; null until then.';
COMMENT ON COLUMN warehouse.requests.created_at IS 'When it was opened: what the source held then is in it.';
COMMENT ON COLUMN warehouse.requests.loaded_at IS 'When its last record arrived.';
COMMENT ON COLUMN warehouse.requests.activated_at IS 'When active data was changed.';
COMMENT ON COLUMN warehouse.requests.ended_at IS 'When it was published, failed or deleted.';

COMMENT ON TABLE warehouse.packages IS 'Packages of a request, one row each.';
COMMENT ON COLUMN warehouse.packages.request_id IS 'Request.';
COMMENT ON COLUMN warehouse.packages.package_no IS 'Number within the request, from 1.';
COMMENT ON COLUMN warehouse.packages.records IS 'Records in it.';
COMMENT ON COLUMN warehouse.packages.digest IS 'Digest of its content: the same package twice is recognized.';

COMMENT ON TABLE warehouse.pointers IS 'How far each feed was read, one row per store and source.';
COMMENT ON COLUMN warehouse.pointers.store IS 'Store.';
COMMENT ON COLUMN warehouse.pointers.source IS 'System it is read from.';
COMMENT ON COLUMN warehouse.pointers.confirmed IS 'Where the next delta begins.';
COMMENT ON COLUMN warehouse.pointers.before IS 'Where the last delta began: REPEAT reads from there.';
COMMENT ON COLUMN warehouse.pointers.request_id IS 'Request that moved it last.';
COMMENT ON COLUMN warehouse.pointers.init_request_id IS 'Request that began the feed.';

COMMENT ON TABLE warehouse.held IS 'Records that left their load, one row per reason; keys only, no values.';
COMMENT ON COLUMN warehouse.held.request_id IS 'Request they arrived with.';
COMMENT ON COLUMN warehouse.held.package_no IS 'Package within the request.';
COMMENT ON COLUMN warehouse.held.record_no IS 'Record within the package.';
COMMENT ON COLUMN warehouse.held.store IS 'Store.';
COMMENT ON COLUMN warehouse.held.source IS 'System it came from.';
COMMENT ON COLUMN warehouse.held.key IS 'Key of the record within its source.';
COMMENT ON COLUMN warehouse.held.kind IS 'refused: breaks a rule; follows: waits for a held record of its key; unread: could not be read at all.';
COMMENT ON COLUMN warehouse.held.field IS 'Field the reason is about, or empty.';
COMMENT ON COLUMN warehouse.held.code IS 'Rule that it breaks.';
COMMENT ON COLUMN warehouse.held.message IS 'The reason in words, without personal values.';
COMMENT ON COLUMN warehouse.held.state IS 'open; corrected by a person; superseded by a newer record.';
COMMENT ON COLUMN warehouse.held.by IS 'Who corrected it.';
COMMENT ON COLUMN warehouse.held.why IS 'Why it was corrected so.';
COMMENT ON COLUMN warehouse.held.at IS 'When it was held.';
COMMENT ON COLUMN warehouse.held.ended_at IS 'When it was no longer held.';
COMMENT ON COLUMN warehouse.held.ended_by IS 'Correction that ended it; it is open again when that is deleted.';

COMMENT ON TABLE warehouse.late IS 'Records older than the active one of their key: kept for audit, they changed nothing.';
COMMENT ON COLUMN warehouse.late.request_id IS 'Request they arrived with.';
COMMENT ON COLUMN warehouse.late.package_no IS 'Package within the request.';
COMMENT ON COLUMN warehouse.late.record_no IS 'Record within the package.';
COMMENT ON COLUMN warehouse.late.store IS 'Store.';
COMMENT ON COLUMN warehouse.late.key IS 'Key of the record within its source.';
COMMENT ON COLUMN warehouse.late.sequence IS 'Its place in the order of changes.';
COMMENT ON COLUMN warehouse.late.newer IS 'The place of the record that was active already.';

COMMENT ON TABLE warehouse.rolled_up IS 'Which cube has added up which request, one row each.';
COMMENT ON COLUMN warehouse.rolled_up.cube IS 'Cube.';
COMMENT ON COLUMN warehouse.rolled_up.request_id IS 'Request.';
COMMENT ON COLUMN warehouse.rolled_up.cells IS 'Cells its changes touched.';
COMMENT ON COLUMN warehouse.rolled_up.absorbed IS 'True once it is part of the totals: it can no longer be deleted, only reversed.';
COMMENT ON COLUMN warehouse.rolled_up.at IS 'When it was added up.';

COMMENT ON TABLE warehouse.publications IS 'What people see changes here, at once for all cubes; one row per publication.';
COMMENT ON COLUMN warehouse.publications.publication IS 'Number; SET isthmus.publication to one to keep reading it.';
COMMENT ON COLUMN warehouse.publications.at IS 'When it was published.';
COMMENT ON COLUMN warehouse.publications.run IS 'Run that published it.';
COMMENT ON COLUMN warehouse.publications.requests IS 'Requests it made visible.';

COMMENT ON TABLE warehouse.shapes IS 'What was created last, and by which content of its file.';
COMMENT ON COLUMN warehouse.shapes.kind IS 'control, store, cube, postings, posted, view or calendar.';
COMMENT ON COLUMN warehouse.shapes.name IS 'Its name.';
COMMENT ON COLUMN warehouse.shapes.hash IS 'Digest of what its file says.';
COMMENT ON COLUMN warehouse.shapes.applied_at IS 'When it was applied.';

COMMENT ON TABLE warehouse.verifications IS 'What comparing cubes with a recomputation found.';
COMMENT ON COLUMN warehouse.verifications.cube IS 'Cube.';
COMMENT ON COLUMN warehouse.verifications.at IS 'When it was compared.';
COMMENT ON COLUMN warehouse.verifications.cells IS 'Cells compared.';
COMMENT ON COLUMN warehouse.verifications.differing IS 'Cells that differed: 0, or something is wrong.';
COMMENT ON COLUMN warehouse.verifications.publication IS 'Newest publication at that time.';

COMMENT ON TABLE warehouse.files IS 'Files that were picked up from a folder, by content: the same content is taken once.';
COMMENT ON COLUMN warehouse.files.store IS 'Store.';
COMMENT ON COLUMN warehouse.files.digest IS 'Digest of the content.';
COMMENT ON COLUMN warehouse.files.name IS 'Name of the file.';
COMMENT ON COLUMN warehouse.files.state IS 'loaded or refused.';
COMMENT ON COLUMN warehouse.files.because IS 'Why it was refused.';
COMMENT ON COLUMN warehouse.files.request_id IS 'Request that loaded it.';
COMMENT ON COLUMN warehouse.files.at IS 'When it was picked up.';

COMMENT ON TABLE warehouse.backfills IS 'What a change of the files left to do, one row per reason.';
COMMENT ON COLUMN warehouse.backfills.id IS 'Number.';
COMMENT ON COLUMN warehouse.backfills.kind IS 'store: its next load is a REPAIR_FULL; cube: it is rebuilt from active data.';
COMMENT ON COLUMN warehouse.backfills.name IS 'Store or cube.';
COMMENT ON COLUMN warehouse.backfills.because IS 'The change that asks for it.';
COMMENT ON COLUMN warehouse.backfills.since IS 'When the change was applied.';
COMMENT ON COLUMN warehouse.backfills.done_at IS 'When it was done; null while it waits.';

COMMENT ON TABLE warehouse.calendar IS 'Days from 1990 to 2060.';
COMMENT ON COLUMN warehouse.calendar.day IS 'Day.';
COMMENT ON COLUMN warehouse.calendar.workday IS 'True from Monday to Friday, except public holidays of all Germany.';
COMMENT ON COLUMN warehouse.calendar.holiday IS 'Name of the public holiday, or empty.';

COMMENT ON TABLE warehouse.objects IS 'Objects of a source whose own key does not tell the key of their records: which records they are.';
COMMENT ON COLUMN warehouse.objects.store IS 'Store.';
COMMENT ON COLUMN warehouse.objects.source IS 'System the object is of.';
COMMENT ON COLUMN warehouse.objects.object_key IS 'Key of the object in that system, such as a GUID.';
COMMENT ON COLUMN warehouse.objects.key IS 'Key of the record in the store, as people write it.';

COMMENT ON TABLE warehouse.derivations IS 'Of what each derived store was made last; its query runs again when that has changed.';
COMMENT ON COLUMN warehouse.derivations.store IS 'Derived store.';
COMMENT ON COLUMN warehouse.derivations.inputs IS 'Digest of the query and of the requests that were active in the stores it reads.';
COMMENT ON COLUMN warehouse.derivations.at IS 'When it was made.';
