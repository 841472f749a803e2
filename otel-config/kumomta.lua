-- A user that may read KumoMTA's metrics and nothing else. From KumoMTA 2026.03.04.
--
-- Merge it into init.lua: `kumo.on('init', ...)` has the rest of your configuration, and the two events below are defined once.
-- trusted_hosts would let an address do everything the listener can, injection and administration included, so it holds the loopback
-- address only. Basic credentials are readable on the way: use `use_tls = true` on the listener, or a tunnel, beyond a trusted network.

local kumo = require 'kumo'

-- The password, in a file that only KumoMTA can read.
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
