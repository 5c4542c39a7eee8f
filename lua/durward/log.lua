--- Lines in durward's own log: `durward.log.info("quota is near", { user = event.user })`.

local core = require("durward.core")

---@class durward.log
local log = {}

---@param level "debug"|"info"|"warn"|"error"
---@return fun(what: string, fields?: table<string, any>)
local function writer(level)
  return function(what, fields)
    if type(what) ~= "string" then
      error(("log.%s: expected a string, got %s"):format(level, type(what)), 2)
    end
    if fields ~= nil and type(fields) ~= "table" then
      error(("log.%s: expected a table of fields, got %s"):format(level, type(fields)), 2)
    end
    local names, flat = {}, {}
    for name in pairs(fields or {}) do
      names[#names + 1] = tostring(name)
    end
    table.sort(names)
    for _, name in ipairs(names) do
      flat[#flat + 1] = name
      flat[#flat + 1] = tostring(fields[name])
    end
    core.log(level, what, table.unpack(flat))
  end
end

log.debug = writer("debug")
log.info = writer("info")
log.warn = writer("warn")
log.error = writer("error")

return log
