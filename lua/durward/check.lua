--- Mistakes of a policy that can be found without running its hooks.

local fields = require("durward.kit.host").fields()
local walk = require("durward.check.walk")

local check = {}

local function read(path)
  local file, why = io.open(path, "rb")
  if not file then
    return nil, why
  end
  local text = file:read("a")
  file:close()
  return text and (text:gsub("^\xef\xbb\xbf", ""))
end

--- Reads a policy and the files beside it that it requires.  What does not compile is left to the loader, which
--- says why.
---@param path string
---@return { file: string, line: integer, message: string }[] findings
---@return string[] files  that were read, the policy first
function check.policy(path)
  local folder = path:match("^(.*/)") or ""
  local findings, files, seen = {}, { path }, { [path] = true }
  local at = 1
  while files[at] do
    local file = files[at]
    local text = read(file)
    if text and load(text, "=", "t", {}) then
      local found, requires = walk.file(text, fields)
      for i, finding in ipairs(found) do
        finding.order = i
      end
      table.sort(found, function(a, b)
        return a.line < b.line or (a.line == b.line and a.order < b.order)
      end)
      for _, finding in ipairs(found) do
        findings[#findings + 1] = { file = file, line = finding.line, message = finding.message }
      end
      for _, name in ipairs(requires) do
        local beside = folder .. name:gsub("%.", "/") .. ".lua"
        if not seen[beside] and read(beside) then
          seen[beside] = true
          files[#files + 1] = beside
        end
      end
    end
    at = at + 1
  end
  return findings, files
end

return check
