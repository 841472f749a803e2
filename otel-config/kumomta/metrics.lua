-- A user that may read KumoMTA's metrics and nothing else. Requires KumoMTA 2026.03.04 or later.
--
-- Merge this into init.lua: `kumo.on('init', ...)` also contains the rest of your configuration, and each of the two events below may be
-- defined only once. trusted_hosts contains loopback addresses only, because a trusted address may do everything the listener can,
-- including injection and administration. Basic credentials are sent unencrypted: outside a trusted network, set `use_tls = true` on the
-- listener or use a tunnel.

local kumo = require 'kumo'

-- A file with the password, readable by KumoMTA only.
local PASSWORD_FILE = '/opt/kumomta/etc/postmeter-password'
local USER = 'postmeter'

kumo.on('init', function()
  kumo.start_http_listener {
    listen = '0.0.0.0:8000',
    trusted_hosts = { '127.0.0.1', '::1' },
  }
end)

kumo.on('http_server_validate_auth_basic', function(user, password)
  local file = io.open(PASSWORD_FILE, 'r')
  if not file then
    return false
  end
  local expected = file:read '*l'
  file:close()
  return user == USER and expected ~= nil and expected ~= '' and password == expected
end)

local readable = {
  ['http_listener/*/metrics.json'] = true,
  ['http_listener/*/metrics'] = true,
  ['http_listener/*/api/machine-info'] = true,
  -- Enable the paths of the optional parts that you use: liveness, suspensions, suspended-ready-queues, bounces, ready-queue-states. The
  -- user has the privilege GET only, so it cannot suspend or bounce anything.
  -- ['http_listener/*/api/check-liveness/v1'] = true,
  -- ['http_listener/*/api/admin/suspend/v1'] = true,
  -- ['http_listener/*/api/admin/suspend-ready-q/v1'] = true,
  -- ['http_listener/*/api/admin/bounce/v1'] = true,
  -- ['http_listener/*/api/admin/ready-q-states/v1'] = true,
}

kumo.on('get_acl_definition', function(resource)
  if readable[resource] then
    return kumo.aaa.make_access_control_list {
      { criteria = { Identity = { Individual = USER } }, privilege = 'GET', access = 'Allow' },
      {
        criteria = { Identity = { Group = 'kumomta:http-listener-trusted-ip' } },
        privilege = 'GET',
        access = 'Allow',
      },
    }
  end
end)
