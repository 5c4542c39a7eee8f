package.path = "tests/lua/?.lua;" .. package.path
local policy = require("support").policy
local secret = require("durward.secret")

local YESCRYPT = "$y$j9T$abcdefgh$9WNEpu8Mx2S4KNGvbVWKM6clOSoY6.YEl7AYF4DGV04" -- of "x"

describe("secret", function()
  it("compares whole texts", function()
    assert.is_true(secret.equal("abc", "abc"))
    assert.is_false(secret.equal("abc", "abcd"))
    assert.is_false(secret.equal("abc", "abd"))
    assert.is_true(secret.equal("", ""))
    assert.is_false(secret.equal("a\0b", "a\0c"))
  end)

  it("verifies passwords against hashes", function()
    assert.is_true(secret.verify("x", YESCRYPT))
    assert.is_false(secret.verify("y", YESCRYPT))
    assert.is_false(secret.verify("", YESCRYPT))
    assert.is_false(secret.verify("x\0", YESCRYPT))
    assert.is_false(secret.verify(("x"):rep(5000), YESCRYPT))
  end)

  local refused = {
    { "x", "it is not a hash of yescrypt ($y$), bcrypt ($2b$), SHA-512 ($6$) or SHA-256 ($5$)" },
    { "", "it is not a hash of yescrypt ($y$), bcrypt ($2b$), SHA-512 ($6$) or SHA-256 ($5$)" },
    { "!", "it is not a hash of yescrypt ($y$), bcrypt ($2b$), SHA-512 ($6$) or SHA-256 ($5$)" },
    { "$1$abc$", "it is not a hash of yescrypt ($y$), bcrypt ($2b$), SHA-512 ($6$) or SHA-256 ($5$)" },
    { "$6$rounds=999999999$abc$x", "the hash asks for more than 200000 rounds" },
    { "$2b$31$abcdefghijklmnopqrstuu", "the hash costs more than bcrypt's 12" },
    { "$y$jFT$abcdefgh$", "the hash costs more than yescrypt's 8" },
    { "$y$/.", "the parameters of the yescrypt hash are not those of crypt_gensalt" },
    { "$y$", "the parameters of the yescrypt hash are not those of crypt_gensalt" },
    { "$2b$05$", "it is not a whole hash" },
    { "$6$a\0b", "it holds a NUL" },
  }
  for _, case in ipairs(refused) do
    it(("does not use %q"):format(case[1]), function()
      assert.same({ nil, case[2] }, { secret.verify("x", case[1]) })
    end)
  end

  it("takes the event's password without showing it", function()
    local one = policy("local hash = '" .. YESCRYPT .. "' return { map = function(event) "
      .. "local password = event.plain.password "
      .. "if durward.secret.verify(password, hash) and password:verify(hash) "
      .. "and durward.secret.equal(password, 'x') then return 'alice' end "
      .. "return nil, tostring(password) end, authorize = rule.allow('it') }")
    assert.equal("alice", one:decide({ plain = { username = "alice", password = "x" } }).user)
    assert.equal("not mapped: <secret>", one:decide({ plain = { username = "alice", password = "y" } }).reason)
  end)

  it("counts what it costs", function()
    local one = policy("local hash = '$2b$12$abcdefghijklmnopqrstuuOeZ2hQ32AyBh8ZYFFLfYoUxWKOV2GcS' "
      .. "return { map = function() for i = 1, 100 do durward.secret.verify('y', hash) end end }")
    local decision = one:decide({})
    assert.equal("temporary", decision.verdict)
    assert.truthy(decision.reason:find("instruction limit", 1, true) or decision.reason:find("time limit", 1, true))
  end)
end)
