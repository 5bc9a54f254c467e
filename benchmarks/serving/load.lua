-- What wrk does in the serving benchmark: it posts the lines of a file by turns, and counts what isn't 200 by status.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  requests, at, seen = {}, 0, ""
  local headers = { ["Content-Type"] = "application/json" }
  if arguments[2] and arguments[2] ~= "" then
    headers["Authorization"] = "Bearer " .. arguments[2]
  end
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", wrk.path, headers, line)
  end
  counts = {}
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status)
  if status ~= 200 then
    counts[status] = (counts[status] or 0) + 1
    seen = ""
    for code, count in pairs(counts) do
      seen = seen .. code .. "=" .. count .. ","
    end
  end
end

function done(summary, latency)
  local totals = {}
  for _, thread in ipairs(threads) do
    for code, count in string.gmatch(thread:get("seen"), "(%d+)=(%d+),") do
      totals[code] = (totals[code] or 0) + tonumber(count)
    end
  end
  local parts = {}
  for code, count in pairs(totals) do
    parts[#parts + 1] = string.format('"%s": %d', code, count)
  end
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "broken": %d, "statuses": {%s}}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.timeout, table.concat(parts, ", ")))
end
