--- Who is in which group, by the system or by a file of our own.
--
--     local teams = durward.groups.file("groups")                 -- name:password:gid:user,user, as /etc/group
--     rule.allow("ops", teams:member("ops", "admin"))
--     rule.allow("ops", match.group("ops"))                       -- the system's groups: NSS, asked off the loop

local files = require("durward.files")
local core = require("durward.core")
local door = require("durward.await.door")

---@class durward.groups
local groups = {}

local function check(name, ...)
  local words = { ... }
  for _, word in ipairs(words) do
    if type(word) ~= "string" or word == "" then
      core.misuse(("%s: expected names of groups, got %s"):format(name, word == "" and "an empty one" or type(word)))
    end
  end
  if #words == 0 then
    core.misuse(name .. ": expected at least one group")
  end
  local set = {}
  for _, word in ipairs(words) do
    set[word] = true
  end
  return set
end

local function matcher(set, of)
  return function(event)
    local user = event.user
    if not user then
      return false, "no user"
    end
    local had, why = of(user)
    if not had then
      return false, why or ("no groups of " .. user)
    end
    for i = 1, #had do
      if set[had[i]] then
        return true
      end
    end
    return false, #had > 0 and "groups are " .. table.concat(had, ", ", 1, math.min(#had, 20)) or "in no group"
  end
end

--- The groups that the system says the user is in; nil and why when it knows no such user.
---@type fun(user: string): string[]?, string?
groups.of = door.groups

---@class durward.GroupFile
local GroupFile = {}

--- The user's groups in this file; none: an empty list.
---@param user string
---@return string[]
function GroupFile:of(user)
  return self.table:get(user) or {}
end

---@param user string
---@param group string
---@return boolean
function GroupFile:has(user, group)
  for _, name in ipairs(self:of(user)) do
    if name == group then
      return true
    end
  end
  return false
end

--- A matcher: event.user is in one of these groups.
---@param ... string
---@return durward.Matcher
function GroupFile:member(...)
  return matcher(check("groups:member", ...), function(user)
    return self:of(user)
  end)
end

--- A file as /etc/group; read again when it has changed.
---@param path string  relative to the policy's folder
---@return durward.GroupFile
function groups.file(path)
  if type(path) ~= "string" then
    core.misuse("groups.file: expected the path of a file such as /etc/group, got " .. type(path))
  end
  return setmetatable({ table = files.groups(path) }, { __index = GroupFile })
end

--- A matcher: the system says that event.user is in one of these groups.
---@param ... string
---@return durward.Matcher
function groups.member(...)
  return matcher(check("match.group", ...), groups.of)
end

return groups
