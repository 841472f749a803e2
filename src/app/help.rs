//! What stands below the options of each `--help`: examples that work, and what the exit code says.

pub(super) const ALL: &str = "\
Begin with:
  postmeter demo                                          see it work, without any mail server
  postmeter scrape --system kumomta --url http://a:8000   what a server of yours says, once
  postmeter check --config postmeter.yaml                 whether a configuration is right
  postmeter run --config postmeter.yaml                   the service

Exit codes: 0 when all went well, 1 when something did not (one line on standard error says
what), 2 when the command line is not understood.";

pub(super) const RUN: &str = "\
Example:
  postmeter run --config /etc/postmeter/postmeter.yaml --log-level debug
  postmeter run --config postmeter.yaml --shard 0/3       one of three that share the targets

The file is described in otel-config/postmeter.yaml; the smallest one that works:
  targets:
    - {name: mta1, system: kumomta, url: \"http://192.0.2.5:8000\"}

It then serves http://localhost:9464/metrics, and a page for people at http://localhost:9464/.
SIGTERM and SIGINT end it after a last push; SIGHUP has it read the file again: all of it is taken
up, or nothing and the log says why.

Exit codes: 0 after a signal, 1 when it could not start, 2 when the command line is not
understood.";

pub(super) const CHECK: &str = "\
Example:
  postmeter check --config postmeter.yaml

All problems are said at once, each with its line and its place in the file. No server is
asked.

Exit codes: 0 when the file is good (warnings may be said), 1 when it is not, 2 when the
command line is not understood.";

pub(super) const SCRAPE: &str = "\
Examples:
  postmeter scrape --config postmeter.yaml --target mta1
  postmeter scrape --system stalwart --url https://a.example.com --username u --password-file p
  postmeter scrape --system cpanel --url https://a.example.com:2087 --username root --token-file t
  postmeter scrape --system kumomta --file metrics.json --only canonical
  curl -si http://a:8000/metrics.json > saved; postmeter scrape --system kumomta --file saved

Exit codes: 0 when the required part was read, 1 when it was not (of any target: the others are
printed all the same), 2 when the command line is not understood.";

pub(super) const SIMULATE: &str = "\
Examples:
  postmeter simulate kumomta --listen 127.0.0.1:8000 --size 5000
  postmeter simulate stalwart --seed 7 --fault status-503

It says where it listens and how to scrape it. Ctrl-C ends it.

Exit codes: 0 after a signal, 1 when it could not start, 2 when the command line is not
understood.";

pub(super) const METRICS: &str = "\
Examples:
  postmeter metrics | less
  postmeter metrics --format json | jq -r '.metrics[].name'

On the pull, dots are underscores, counters end in _total, and units are spelled out:
mail.poll.duration is mail_poll_duration_seconds.";

pub(super) const TOKEN: &str = "\
Example:
  postmeter token new --name grafana --expires 90d

The token is printed once, in the first line; what follows goes into the configuration.";

pub(super) const CONFIG_SCHEMA: &str = "\
Example:
  postmeter config-schema > postmeter.schema.json

and as the first line of postmeter.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=postmeter.schema.json

The schema knows the keys and what they may hold; `postmeter check` knows the rest: files that
are not there, names that are there twice, credentials that are missing.";

pub(super) const HEALTHCHECK: &str = "\
Examples:
  postmeter healthcheck
  postmeter healthcheck --url http://localhost:9464/-/ready

Behind authentication or a rate limit a refusal is as good an answer: it is alive.

Exit codes: 0 when it is well, 1 when it is not (one line on standard error says why), 2 when
the command line is not understood.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  postmeter completions bash > /etc/bash_completion.d/postmeter
  postmeter completions zsh > \"${fpath[1]}/_postmeter\"
  postmeter completions fish > ~/.config/fish/completions/postmeter.fish";

pub(super) const DEMO: &str = "\
Examples:
  postmeter demo
  postmeter demo --listen 127.0.0.1:0 --otlp http://localhost:4317 --interval 15s

Then look at http://127.0.0.1:9464/, and scrape /metrics. Ctrl-C ends it. How far the delivery
log was read is in a directory below TMPDIR (or /tmp), which is removed then.

Exit codes: 0 after a signal, 1 when it could not start, 2 when the command line is not
understood.";
