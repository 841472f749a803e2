-- KumoMTA sends the outcome of each delivery to Postmeter, in batches, and keeps what Postmeter has not acknowledged.
--
--   local deliveries = require 'deliveries'
--   deliveries.setup { url = 'https://postmeter.example.com:9465/v1/deliveries/mta1', token = os.getenv 'POSTMETER_TOKEN' }
--
-- Call it in init.lua before the queues helper. The shaping file needs, for the queue of the hook:
--
--   ['postmeter.log_hook']
--   mx_rollup = false
--
-- The stock hook `log_hooks:new_json` drops a record at the first response that is not 2xx. This one rejects the batch with 451, so KumoMTA
-- tries again, with the queue's own retry schedule.
local mod = {}

-- Records of a request. KumoMTA sends a batch when it has this many, or after max_batch_latency.
local BATCH_SIZE = 500

function mod.setup(options)
  assert(options.url and options.token, 'deliveries.setup needs url and token')
  local kumo = require 'kumo'
  local log_hooks = require 'policy-extras.log_hooks'
  log_hooks:new {
    name = 'postmeter',
    batch_size = BATCH_SIZE,
    min_batch_size = 50,
    max_batch_latency = '2s',
    constructor = function()
      return mod.connection(kumo, options)
    end,
  }
end

-- One connection of the hook.
function mod.connection(kumo, options)
  local connection = {}
  local client = kumo.http.build_client { timeout = '30s' }

  function connection:send_batch(messages)
    local lines = {}
    for i, message in ipairs(messages) do
      -- Each record ends with a newline.
      lines[i] = message:get_data()
    end
    local response = client
      :post(options.url)
      :bearer_auth(options.token)
      :header('Content-Type', 'application/x-ndjson')
      :body(table.concat(lines))
      :send()
    if not response:status_is_success() then
      kumo.reject(451, 'postmeter responded with ' .. response:status_code())
    end
    return 'ok'
  end

  function connection:close()
    client:close()
  end

  return connection
end

return mod
