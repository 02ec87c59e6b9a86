-- One text for SQLite and PostgreSQL: BIGINT, TEXT, SMALLINT for booleans, times as microseconds
-- UTC. Columns that end in _fold hold what crm::fold makes of their neighbour; searching and
-- sorting uses them. What is removed keeps its row: history names it.

CREATE TABLE users (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    name TEXT NOT NULL, name_fold TEXT NOT NULL,
    login TEXT NOT NULL, login_fold TEXT NOT NULL,
    short_number TEXT, role TEXT NOT NULL, language TEXT NOT NULL, away SMALLINT NOT NULL,
    ring_timeout_secs BIGINT NOT NULL, wrap_up_secs BIGINT NOT NULL, may_call TEXT NOT NULL, call_waiting SMALLINT NOT NULL,
    deputy BIGINT, password_hash TEXT
);
CREATE UNIQUE INDEX users_login ON users (login_fold) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX users_short_number ON users (short_number) WHERE removed_at IS NULL;

CREATE TABLE absences (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    user_id BIGINT NOT NULL, from_at BIGINT NOT NULL, until_at BIGINT NOT NULL, deputy BIGINT, note TEXT
);
CREATE INDEX absences_user ON absences (user_id);
CREATE INDEX absences_until ON absences (until_at);

CREATE TABLE sessions (
    id BIGINT PRIMARY KEY, user_id BIGINT NOT NULL, token_sha256 TEXT NOT NULL,
    created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX sessions_token ON sessions (token_sha256);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE devices (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    user_id BIGINT NOT NULL, name TEXT NOT NULL, name_fold TEXT NOT NULL,
    auth_user TEXT NOT NULL, ha1_md5 TEXT NOT NULL, ha1_sha256 TEXT NOT NULL,
    digest TEXT NOT NULL, media_source TEXT NOT NULL, number TEXT, ring_after_secs BIGINT NOT NULL
);
CREATE UNIQUE INDEX devices_auth_user ON devices (auth_user) WHERE removed_at IS NULL;
CREATE INDEX devices_user ON devices (user_id);

CREATE TABLE bindings (
    device_id BIGINT NOT NULL, place BIGINT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (device_id, place)
);

CREATE TABLE lines (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    number_typed TEXT NOT NULL, number_normal TEXT NOT NULL,
    name TEXT NOT NULL, name_fold TEXT NOT NULL, channel TEXT, channel_fold TEXT,
    ring_timeout_secs BIGINT, recorded SMALLINT NOT NULL, callback_minutes BIGINT NOT NULL,
    language TEXT NOT NULL, queue TEXT, office_id BIGINT, reception TEXT NOT NULL
);
CREATE UNIQUE INDEX lines_number ON lines (number_normal) WHERE removed_at IS NULL;

CREATE TABLE skills (
    line_id BIGINT NOT NULL, user_id BIGINT NOT NULL, place BIGINT NOT NULL, level BIGINT NOT NULL,
    PRIMARY KEY (line_id, user_id)
);

CREATE TABLE offices (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    name TEXT NOT NULL, name_fold TEXT NOT NULL, hours TEXT NOT NULL
);
CREATE UNIQUE INDEX offices_name ON offices (name_fold) WHERE removed_at IS NULL;

CREATE TABLE trunks (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    name TEXT NOT NULL, name_fold TEXT NOT NULL, networks TEXT NOT NULL, media_networks TEXT NOT NULL,
    trusted_identity SMALLINT NOT NULL, called_in TEXT NOT NULL, most_calls BIGINT, outbound TEXT
);
CREATE UNIQUE INDEX trunks_name ON trunks (name_fold) WHERE removed_at IS NULL;

CREATE TABLE organisations (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    name TEXT NOT NULL, name_fold TEXT NOT NULL, manager BIGINT, flags TEXT NOT NULL
);
CREATE INDEX organisations_name ON organisations (name_fold, id);
CREATE INDEX organisations_manager ON organisations (manager);

CREATE TABLE persons (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    name TEXT NOT NULL, name_fold TEXT NOT NULL, manager BIGINT, flags TEXT NOT NULL
);
CREATE INDEX persons_name ON persons (name_fold, id);
CREATE INDEX persons_manager ON persons (manager);

CREATE TABLE memberships (
    person_id BIGINT NOT NULL, organisation_id BIGINT NOT NULL, place BIGINT NOT NULL, position TEXT,
    PRIMARY KEY (person_id, organisation_id)
);
CREATE INDEX memberships_organisation ON memberships (organisation_id);

CREATE TABLE numbers (
    id BIGINT PRIMARY KEY, person_id BIGINT, organisation_id BIGINT, place BIGINT NOT NULL,
    typed TEXT NOT NULL, normal TEXT NOT NULL, extension TEXT, kind TEXT NOT NULL
);
CREATE INDEX numbers_normal ON numbers (normal);
CREATE INDEX numbers_person ON numbers (person_id);
CREATE INDEX numbers_organisation ON numbers (organisation_id);

CREATE TABLE notes (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    person_id BIGINT, organisation_id BIGINT, author BIGINT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX notes_person ON notes (person_id);
CREATE INDEX notes_organisation ON notes (organisation_id);

CREATE TABLE deals (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    title TEXT NOT NULL, title_fold TEXT NOT NULL, person_id BIGINT, organisation_id BIGINT, manager BIGINT,
    stage TEXT NOT NULL, state TEXT NOT NULL, amount_minor BIGINT, currency TEXT NOT NULL
);
CREATE INDEX deals_person ON deals (person_id);
CREATE INDEX deals_organisation ON deals (organisation_id);

CREATE TABLE tasks (
    id BIGINT PRIMARY KEY, version BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT,
    title TEXT NOT NULL, title_fold TEXT NOT NULL, person_id BIGINT, organisation_id BIGINT,
    assignee BIGINT NOT NULL, due BIGINT, done_at BIGINT, call_id BIGINT
);
CREATE INDEX tasks_person ON tasks (person_id);
CREATE INDEX tasks_organisation ON tasks (organisation_id);
CREATE INDEX tasks_assignee ON tasks (assignee);

-- A leaver's clients, handed over in one act: the order, who got how much, and where each thing went.
CREATE TABLE hand_overs (
    id BIGINT PRIMARY KEY, at BIGINT NOT NULL, done_by BIGINT NOT NULL, leaver BIGINT NOT NULL, note TEXT, idempotency_key TEXT
);
CREATE UNIQUE INDEX hand_overs_key ON hand_overs (done_by, idempotency_key);
CREATE TABLE hand_over_shares (
    hand_over_id BIGINT NOT NULL, successor BIGINT NOT NULL, place BIGINT NOT NULL, persons BIGINT NOT NULL,
    organisations BIGINT NOT NULL, deals BIGINT NOT NULL, tasks BIGINT NOT NULL, obligations BIGINT NOT NULL,
    PRIMARY KEY (hand_over_id, successor)
);
CREATE TABLE hand_over_items (
    hand_over_id BIGINT NOT NULL, kind TEXT NOT NULL, item BIGINT NOT NULL, successor BIGINT NOT NULL,
    PRIMARY KEY (hand_over_id, kind, item)
);
CREATE INDEX hand_over_items_item ON hand_over_items (kind, item);

-- Append-only, the truth. The tables below are made from it in the same transaction, but for calls.snapshot: what recovery
-- needs of a running call, and of one whose parties may not all have heard of its end.
CREATE TABLE journal (
    id BIGINT PRIMARY KEY, node BIGINT NOT NULL, seq BIGINT NOT NULL, call_id BIGINT,
    at BIGINT NOT NULL, type TEXT NOT NULL, body TEXT NOT NULL, late SMALLINT NOT NULL
);
CREATE UNIQUE INDEX journal_place ON journal (node, seq);

CREATE TABLE calls (
    id BIGINT PRIMARY KEY, node BIGINT NOT NULL, direction TEXT NOT NULL, trunk_id BIGINT, line_id BIGINT,
    number_from TEXT NOT NULL, number_to TEXT NOT NULL, number_client TEXT NOT NULL, person_id BIGINT, organisation_id BIGINT, client_name TEXT,
    caller TEXT NOT NULL, agent BIGINT, arrived_at BIGINT NOT NULL, answered_at BIGINT, queued_at BIGINT, queued TEXT, started_at BIGINT,
    ended_at BIGINT, cause TEXT, ended_by TEXT, talk_ms BIGINT, wait_ms BIGINT, missed SMALLINT,
    exhausted TEXT, snapshot TEXT, transferred_to TEXT
);
CREATE INDEX calls_number ON calls (number_client);
CREATE INDEX calls_open ON calls (node) WHERE ended_at IS NULL OR snapshot IS NOT NULL;

-- The explanation stands in the journal, at the event.
CREATE TABLE offers (
    call_id BIGINT NOT NULL, attempt BIGINT NOT NULL, event_id BIGINT NOT NULL, agent BIGINT NOT NULL,
    rule TEXT NOT NULL, owner BIGINT, offered_at BIGINT NOT NULL, ringing_at BIGINT, accepted_at BIGINT,
    device_id BIGINT, ended TEXT, lead_us BIGINT, lead_confirmed SMALLINT, lead_clients BIGINT,
    PRIMARY KEY (call_id, attempt)
);
CREATE INDEX offers_agent ON offers (agent, call_id);

-- What callers were told and chose before anybody's telephone rang; the fact itself stands in the journal too.
CREATE TABLE receptions (event_id BIGINT PRIMARY KEY, call_id BIGINT NOT NULL, at BIGINT NOT NULL, opens_at BIGINT, step TEXT NOT NULL);
CREATE INDEX receptions_call ON receptions (call_id);

-- Clients who were parked; without left_at they are so still, if their call runs.
CREATE TABLE parkings (
    event_id BIGINT PRIMARY KEY, call_id BIGINT NOT NULL, place BIGINT NOT NULL, agent BIGINT NOT NULL, parked_at BIGINT NOT NULL,
    left_at BIGINT
);
CREATE INDEX parkings_call ON parkings (call_id);
CREATE INDEX parkings_open ON parkings (call_id) WHERE left_at IS NULL;

CREATE TABLE recordings (
    id BIGINT PRIMARY KEY, call_id BIGINT NOT NULL, file TEXT NOT NULL, started_at BIGINT NOT NULL,
    ready SMALLINT NOT NULL, length_ms BIGINT NOT NULL, bytes BIGINT NOT NULL, gaps_ms BIGINT NOT NULL, gaps TEXT,
    error TEXT, mp3_at BIGINT, mp3_bytes BIGINT, mp3_error TEXT, wav_removed_at BIGINT, mp3_removed_at BIGINT,
    removing SMALLINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX recordings_call ON recordings (call_id);

-- Where a recording was paused by people; without a length it is so still.
CREATE TABLE recording_pauses (
    call_id BIGINT NOT NULL, at_ms BIGINT NOT NULL, length_ms BIGINT, paused_by BIGINT NOT NULL, resumed_by BIGINT,
    PRIMARY KEY (call_id, at_ms)
);
CREATE INDEX recordings_without_mp3 ON recordings (id) WHERE ready = 1 AND mp3_at IS NULL AND length_ms > 0;
CREATE INDEX recordings_with_wav ON recordings (started_at, id)
    WHERE ready = 1 AND length_ms > 0 AND wav_removed_at IS NULL;
CREATE INDEX recordings_with_mp3 ON recordings (started_at, id)
    WHERE ready = 1 AND length_ms > 0 AND mp3_bytes IS NOT NULL AND mp3_removed_at IS NULL;
CREATE INDEX recordings_removing ON recordings (id) WHERE removing = 1;
CREATE INDEX recordings_open ON recordings (call_id) WHERE ready = 0;

CREATE TABLE interactions (
    id BIGINT PRIMARY KEY, kind TEXT NOT NULL, direction TEXT NOT NULL, call_id BIGINT NOT NULL,
    person_id BIGINT, organisation_id BIGINT, line_id BIGINT, agent BIGINT, at BIGINT NOT NULL,
    missed SMALLINT NOT NULL, talk_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX interactions_call ON interactions (call_id);
CREATE INDEX interactions_person ON interactions (person_id, id);
CREATE INDEX interactions_organisation ON interactions (organisation_id, id);
CREATE INDEX interactions_agent ON interactions (agent, id);

-- Calls back that are owed. creditor says to whom (person:ID, organisation:ID or number:E164): one is open for each.
CREATE TABLE obligations (
    id BIGINT PRIMARY KEY, creditor TEXT NOT NULL, person_id BIGINT, organisation_id BIGINT, number TEXT NOT NULL,
    line_id BIGINT, responsible BIGINT, opened_at BIGINT NOT NULL, due BIGINT NOT NULL, missed_calls BIGINT NOT NULL,
    first_call BIGINT NOT NULL, last_call BIGINT NOT NULL, last_missed_at BIGINT NOT NULL,
    closed_at BIGINT, closed_call BIGINT, waived_by BIGINT, reason TEXT
);
CREATE UNIQUE INDEX obligations_creditor ON obligations (creditor) WHERE closed_at IS NULL;
CREATE INDEX obligations_number ON obligations (number) WHERE closed_at IS NULL;
CREATE INDEX obligations_due ON obligations (due) WHERE closed_at IS NULL;
CREATE INDEX obligations_person ON obligations (person_id);
CREATE INDEX obligations_organisation ON obligations (organisation_id);
CREATE INDEX obligations_responsible ON obligations (responsible);
