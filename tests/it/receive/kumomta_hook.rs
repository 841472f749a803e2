//! The hook for KumoMTA in `otel-config/kumomta`, run by a real Lua with the functions of KumoMTA that it uses.

use super::world::{World, client, lines, page, records};
use reqwest::StatusCode;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The functions of KumoMTA: its HTTP client writes the request to files and reads the status from one.
const KUMOMTA: &str = r#"
local dir = arg[1]
local function write(name, text) local f = assert(io.open(dir .. '/' .. name, 'w')) f:write(text) f:close() end
local function read(name) local f = assert(io.open(dir .. '/' .. name)) local text = f:read('a') f:close() return text end
local client = {}
function client:post(url) write('url', url) return self end
function client:bearer_auth(token) write('token', token) return self end
function client:header(name, value) write('header', name .. ': ' .. value) return self end
function client:body(body) write('body', body) return self end
function client:send() local status = tonumber(read('status'))
  return { status_is_success = function() return status >= 200 and status < 300 end, status_code = function() return status end } end
function client:close() write('closed', 'yes') end
local constructor
package.preload['kumo'] = function() return { http = { build_client = function() return client end },
  reject = function(code, text) write('rejected', code .. ' ' .. text) error('rejected') end } end
package.preload['policy-extras.log_hooks'] = function() return { new = function(self, params)
  assert(params.name == 'postmeter' and params.batch_size >= params.min_batch_size) constructor = params.constructor end } end
local deliveries = dofile(arg[2])
deliveries.setup { url = 'http://postmeter/v1/deliveries/mta1', token = 'let-me-in' }
local connection, messages = constructor(), {}
for line in io.lines(dir .. '/records', 'L') do messages[#messages + 1] = { get_data = function() return line end } end
local ok, result = pcall(connection.send_batch, connection, messages)
write('result', ok and result or 'error')
connection:close()
"#;

fn lua() -> Option<PathBuf> {
    ["lua5.4", "lua5.3", "lua"].iter().map(PathBuf::from).find(|lua| Command::new(lua).arg("-v").output().is_ok())
}

fn run(lua: &Path, dir: &Path, status: StatusCode) {
    std::fs::write(dir.join("status"), status.as_str()).unwrap();
    std::fs::write(dir.join("kumomta.lua"), KUMOMTA).unwrap();
    let hook = concat!(env!("CARGO_MANIFEST_DIR"), "/otel-config/kumomta/deliveries.lua");
    let output = Command::new(lua).arg(dir.join("kumomta.lua")).arg(dir).arg(hook).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_shipped_hook_sends_batches_and_keeps_what_is_refused() {
    let Some(lua) = lua() else {
        assert!(std::env::var_os("POSTMETER_REQUIRE_LUA").is_none(), "POSTMETER_REQUIRE_LUA is set, but there is no lua");
        println!("skipped: there is no lua to run otel-config/kumomta/deliveries.lua");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    std::fs::write(dir.path().join("records"), lines(0..20)).unwrap();

    let service = World::new().service(None).await;
    run(&lua, dir.path(), StatusCode::OK);
    assert_eq!(
        (read("url"), read("token"), read("header")),
        ("http://postmeter/v1/deliveries/mta1".into(), "let-me-in".into(), "Content-Type: application/x-ndjson".into())
    );
    assert_eq!((read("result"), read("rejected"), read("closed")), ("ok".into(), String::new(), "yes".into()));
    // The body that the hook builds is one that the receiver reads.
    let url = format!("http://{}/v1/deliveries/mta1", service.receive_address.unwrap());
    let response = client().post(url).bearer_auth(read("token")).header("content-type", "application/x-ndjson").body(read("body"));
    assert_eq!(response.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(records(&page(&service).await, "mta1", "read"), 20.0);
    service.stop().await;

    run(&lua, dir.path(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((read("result"), read("rejected")), ("error".into(), "451 postmeter responded with 503".into()));
}
