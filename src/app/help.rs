//! The text below the options of each `--help`: examples and exit codes.

pub(super) const ALL: &str = "\
Start with:
  postmeter demo                                          a demo without any mail server
  postmeter init                                          a first configuration file, step by step
  postmeter scrape --system kumomta --url http://a:8000   one poll of your own server
  postmeter check --config postmeter.yaml                 check a configuration file
  postmeter run --config postmeter.yaml                   run the service

Exit codes: 0 on success, 1 on failure (see standard error), 2 if an option is unknown or missing.";

pub(super) const RUN: &str = "\
Examples:
  postmeter run --config /etc/postmeter/postmeter.yaml --log-level debug
  postmeter run --config postmeter.yaml --shard 0/3       poll one third of the targets

A minimal configuration file:
  targets:
    - {name: mta1, system: kumomta, url: \"http://192.0.2.5:8000\"}

Metrics are then served on http://localhost:9464/metrics, and a status page on
http://localhost:9464/. `postmeter config-schema --format markdown` lists every key.

SIGTERM and SIGINT stop Postmeter after a last push. SIGHUP reloads the file; the reload is
all-or-nothing, and the log contains the errors of a rejected file.

Exit codes: 0 after a signal, 1 if Postmeter cannot start, 2 if an option is unknown or missing.";

pub(super) const CHECK: &str = "\
Examples:
  postmeter check --config postmeter.yaml

  postmeter check --config postmeter.yaml --env-file /etc/postmeter/postmeter.env --connect

Every error is listed with its line and its key. Without --connect, no server is contacted.

Exit codes: 0 if the file is valid (there may be warnings and notes), 1 if it is invalid or an
attempt to connect failed, 2 if an option is unknown or missing.";

pub(super) const INIT: &str = "\
Examples:
  postmeter init                                    asks for everything
  postmeter init --system ceymail --url https://a.example.com --token-file t
  postmeter init --print --system kumomta --url http://a.example.com:8000 > postmeter.yaml

A credential that is typed is written to the file, which only its owner can read. With --print,
missing credentials become references to environment variables.

Exit codes: 0 on success, 1 if the server cannot be polled or the file cannot be written, 2 if an
option is unknown or missing.";

pub(super) const SCRAPE: &str = "\
Examples:
  postmeter scrape --config postmeter.yaml --target mta1
  postmeter scrape --system stalwart --url https://a.example.com --username u --password-file p
  postmeter scrape --system cpanel --url https://a.example.com:2087 --username root --token-file t
  postmeter scrape --system kumomta --file metrics.json --only canonical
  curl -si http://a:8000/metrics.json > saved; postmeter scrape --system kumomta --file saved

Exit codes: 0 on success, 1 if the required part of any target cannot be read (the other targets
are printed nevertheless), 2 if an option is unknown or missing.";

pub(super) const EXPLAIN: &str = "\
Examples:
  postmeter explain --config postmeter.yaml --target mta1
  postmeter explain --system kumomta --file metrics.json
  postmeter explain --system stalwart --file metrics.txt queue=queue.json --format json

The output lists each canonical point with its rules and native series, points and series without
a value, rules that found no series, native families that no rule uses, and repairs. Secrets of
the configuration are replaced by ***.

Exit codes: 0 on success, 1 if the required part of any target cannot be read, 2 if an option
is unknown or missing.";

pub(super) const SIMULATE: &str = "\
Examples:
  postmeter simulate kumomta --listen 127.0.0.1:8000 --size 5000
  postmeter simulate stalwart --seed 7 --fault status-503

The output shows the URL and a command that scrapes it. Press Ctrl-C to stop.

Exit codes: 0 after a signal, 1 if the simulator cannot start, 2 if an option is unknown or missing.";

pub(super) const SYSTEMS: &str = "\
Examples:
  postmeter systems
  postmeter systems show ceymail > mine.yaml
  postmeter systems check mine.yaml
  postmeter systems schema > system.schema.json
  postmeter explain --systems-file mine.yaml --system mine --file metrics.txt

To use the schema in an editor with a YAML language server, begin the file with:
  # yaml-language-server: $schema=system.schema.json

Exit codes: 0 on success, 1 if a file has a problem, 2 if an option is unknown or missing.";

pub(super) const RECORDS: &str = "\
Examples:
  postmeter records --system sendgrid --file body.json
  postmeter records --system kumomta --file /var/log/kumomta/20261128-144320 --format json
  postmeter records --system postfix --file /var/log/mail.log
  curl -s http://192.0.2.9/last-webhook | postmeter records --system stalwart --file - --include recipient,message

The records are printed as they would leave the machine. The last line, on standard error, has the
numbers of records, of items that report something else, and of items that cannot be read.

Exit codes: 0 on success, 1 if a file or an item cannot be read, 2 if an option is unknown or missing.";

pub(super) const METRICS: &str = "\
Examples:
  postmeter metrics | less
  postmeter metrics --format json | jq -r '.metrics[].name'

In Prometheus formats, dots become underscores, counters end in _total, and units are spelled
out: postmeter.poll.latency is postmeter_poll_latency_seconds.";

pub(super) const TOKEN: &str = "\
Example:
  postmeter token new --name grafana --expires 90d

The first line of the output is the token, which is shown only once. The lines below it are the
configuration to add.";

pub(super) const CONFIG_SCHEMA: &str = "\
Examples:
  postmeter config-schema > postmeter.schema.json
  postmeter config-schema --format markdown | less

To use the schema in an editor with a YAML language server, begin postmeter.yaml with:
  # yaml-language-server: $schema=postmeter.schema.json

The schema describes keys and their values. `postmeter check` also checks that files exist,
that names are unique and that credentials are complete.";

pub(super) const HEALTHCHECK: &str = "\
Examples:
  postmeter healthcheck
  postmeter healthcheck --url http://localhost:9464/-/ready

A response that denies access (401, 403, 429) counts as healthy, because Postmeter is running.

Exit codes: 0 if healthy, 1 if not (see standard error), 2 if an option is unknown or missing.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  postmeter completions bash > /etc/bash_completion.d/postmeter
  postmeter completions zsh > \"${fpath[1]}/_postmeter\"
  postmeter completions fish > ~/.config/fish/completions/postmeter.fish";

pub(super) const MAN: &str = "\
Examples:
  postmeter man | man -l -
  postmeter man --directory /usr/local/share/man/man1

Exit codes: 0 on success, 1 if a page cannot be written, 2 if an option is unknown or missing.";

pub(super) const DEMO: &str = "\
Examples:
  postmeter demo
  postmeter demo --listen 127.0.0.1:0 --otlp http://localhost:4317 --interval 15s

Open the status page at http://127.0.0.1:9464/; metrics are on /metrics. Press Ctrl-C to stop.
The read position of the delivery log is kept in a temporary directory below TMPDIR (or /tmp),
which is removed on exit.

Exit codes: 0 after a signal, 1 if the demo cannot start, 2 if an option is unknown or missing.";
