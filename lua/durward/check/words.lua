--- What a policy can name besides its own: the sandbox's globals, with the fields of those that are tables.
--
-- A spec holds this to the sandbox.

local function set(text)
  local words = {}
  for word in text:gmatch("%S+") do
    words[word] = true
  end
  return words
end

local words = set([[assert error getmetatable ipairs next pairs pcall print rawequal rawget rawlen rawset require
  select setmetatable tonumber tostring type xpcall]])
words.string = set([[byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper]])
words.table = set([[concat insert move pack remove sort unpack]])
words.coroutine = set([[create isyieldable resume status wrap yield]])
words.utf8 = set([[char charpattern codepoint codes len offset]])
words.math = math -- the same library, whatever its build has

return words
