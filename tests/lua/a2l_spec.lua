--- durward.a2l as an operator meets it: the traps that lint names, what explain tells, deployed files.
package.path = "tests/lua/?.lua;" .. package.path
local a2l = require("durward.a2l")
local support = require("support")

local HOME = { default_realm = "HOME.EXAMPLE" }

local function folder_with(files)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  for name, text in pairs(files) do
    local file <close> = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
  end
  finally(function()
    os.execute("rm -r " .. folder)
  end)
  return folder .. "/"
end

describe("a2l lint", function()
  local function finds(kind, rule, rules, options)
    for _, finding in ipairs(assert(a2l.compile(rules, options or HOME)):lint()) do
      if finding.kind == kind and finding.rule == rule then
        return finding.message
      end
    end
  end

  it("finds a g that never ends", function()
    assert.matches("can match the empty string", finds("endless", 1, "RULE:[1:$1]s/x*/y/g"))
    assert.is_nil(finds("endless", 1, "RULE:[1:$1]s/x+/y/g"))
    assert.is_nil(finds("endless", 1, "RULE:[1:$1]s/x*/y/"))
  end)

  it("finds a rule that can never match", function()
    assert.matches("needs a ';', and the selection string $1 has none", finds("never-matches", 1,
      "RULE:[2:$1](.*;admin)"), 1, true)
    assert.matches("every selection string $1@$0 holds a '@'", finds("never-matches", 1, "RULE:[1:$1@$0](alice)"), 1,
      true)
    assert.matches("every selection string", finds("never-matches", 1, "RULE:[2:$1/$2](^[a-z]+$)"))
    assert.matches("does not compile", finds("never-matches", 1, "RULE:[1:$1](a[)"))
    assert.matches("knows one or two", finds("never-matches", 1, "RULE:[3:$1]", { dialect = "hadoop" }))
    for _, can in ipairs({ "RULE:[1:$1@$0](alice.*)", "RULE:[1:$1@$0]([^/]*)", "RULE:[1:$1@$0](\\S+)",
      "RULE:[1:$1@$0](alice@HOME\\.EXAMPLE)", "RULE:[1:$1@$0]([a-z]*|[@A-Z.]*)", "RULE:[1:$1](alice)",
      "RULE:[1:$1@$0]([A-Za-z@.]*)" }) do
      assert.is_nil(finds("never-matches", 1, can), can)
    end
  end)

  it("finds rules that no name gets to", function()
    assert.matches("rule 1 leaves nothing", finds("unreachable", 2, "RULE:[1:$1]\nRULE:[1:$1](alice)"))
    assert.matches("the same as rule 1", finds("unreachable", 2, "DEFAULT\nDEFAULT"))
    local all = "RULE:[1:$1@$0](.*@HOME\\.EXAMPLE)s/@.*//\n"
    for _, lost in ipairs({ "RULE:[1:$1@$0](bob@HOME\\.EXAMPLE)s/.*/x/", "RULE:[1:$1@$0](^[ab]*@HOME\\.EXAMPLE$)" }) do
      assert.matches("rule 1 takes whatever", finds("unreachable", 2, all .. lost))
    end
    for _, reached in ipairs({ "RULE:[2:$1@$0](bob@HOME\\.EXAMPLE)s/.*/x/", "RULE:[1:$1@$0](bob@(X|HOME\\.EXAMPLE))",
      "RULE:[1:$1@$0](.*@OTHER\\.EXAMPLE)", "RULE:[1:$1-$0](.*@HOME\\.EXAMPLE)", "DEFAULT" }) do
      assert.is_nil(finds("unreachable", 2, all .. reached), reached)
    end
  end)

  it("finds a rule under the wrong realm", function()
    assert.matches("in other letters", finds("wrong-realm", 1, "RULE:[1:$1@$0](.*@home\\.example)s/@.*//"))
    local folder = folder_with({ ["krb5.conf"] = "[libdefaults]\n default_realm = HOME.EXAMPLE\n[realms]\n"
      .. " OTHER.EXAMPLE = {\n  auth_to_local = RULE:[1:$1]\n }\n" })
    local findings = assert(a2l.from_krb5_conf(folder .. "krb5.conf")):lint()
    assert.same({ "wrong-realm" }, { findings[1].kind })
    assert.matches("OTHER.EXAMPLE: auth_to_local under a realm", findings[1].message, 1, true)
  end)

  it("finds mappings that collide", function()
    assert.matches("alice@HOME.EXAMPLE becomes alice, and so does alice@PARTNER.EXAMPLE",
      finds("collision", 2, "RULE:[1:$1@$0](.*@PARTNER\\.EXAMPLE)s/@.*//\nDEFAULT"), 1, true)
    assert.matches("the realm does not matter", finds("any-realm", 1, "RULE:[1:$1]"))
  end)

  it("finds who becomes root", function()
    assert.matches("becomes root", finds("root", 1, "RULE:[2:$2@$0](root@HOME\\.EXAMPLE)s/@.*//"))
  end)

  it("finds quoted characters that survive a rule", function()
    assert.matches("alice\\@x@HOME.EXAMPLE becomes alice", finds("quoted", 1,
      "RULE:[1:$1@$0](.*@HOME\\.EXAMPLE)s/@.*//"), 1, true)
    assert.matches("alice\\/x@HOME.EXAMPLE becomes alice/x", finds("quoted", 1,
      "RULE:[1:$1@$0]([^@]*@HOME\\.EXAMPLE)s/@.*//"), 1, true)
    assert.matches("a quoted NUL", finds("nul", 1, "RULE:[1:$1](alice)"))
  end)

  it("finds what MIT reads only when a name comes to it", function()
    assert.matches("cannot be read", finds("invalid", 1, "BOGUS"))
    assert.matches("what follows the ':' is ignored", finds("suffix", 1, "DEFAULT:x"))
    local rules = assert(a2l.compile("RULE:[1:$1]\nBOGUS", HOME))
    assert.equal("alice", rules:map("alice@X"))
    assert.same({ nil, "KRB5_CONFIG_BADFORMAT" }, { rules:map("a/b@X"), (select(3, rules:map("a/b@X"))) })
  end)

  it("finds patterns that the POSIX engine would choke on, which are not tried", function()
    for _, pattern in ipairs({ "^.*+++++;", "^a*{2,}{2,}{2,}b", "(\\<|\\b)*(\\<|\\b)*(\\<|\\b|\\>)*x",
      "((a{90}){90}){90}" }) do
      assert.matches("too large, or repeats too much", finds("limit", 1, "RULE:[1:$1]s/" .. pattern .. "/x/"))
    end
    for _, pattern in ipairs({ "^.*@HOME\\.EXAMPLE$", "[a-z]{1,300}$", "[a-z]+([.][a-z]+)*", "\\<a+\\>" }) do
      assert.is_nil(finds("limit", 1, "RULE:[1:$1]s/" .. pattern .. "/x/"))
    end
  end)

  it("has nothing to say of sound rules", function()
    assert.same({}, a2l.compile("RULE:[2:$1.$2@$0]([a-z]*[.]host@HOME\\.EXAMPLE)s/@.*//\nDEFAULT", HOME):lint())
  end)
end)

describe("a2l explain", function()
  it("tells each rule: skipped and why, the selection, the match, each substitution", function()
    local rules = assert(a2l.compile({ "RULE:[2:$1]", "RULE:[1:$1@$0](.*@X)",
      "RULE:[1:$1@$0](.*@HOME.*)s/@.*//s/i/y/g" }, HOME))
    local steps, user = rules:explain("alice@HOME.EXAMPLE")
    assert.equal("alyce", user)
    assert.same({ "skipped", "no match", "matched" }, { steps[1].outcome, steps[2].outcome, steps[3].outcome })
    assert.matches("component", steps[1].why)
    assert.equal("alice@HOME.EXAMPLE", steps[2].selection)
    assert.equal(".*@X", steps[2].pattern)
    assert.same({ pattern = "@.*", with = "", global = false, count = 1, before = "alice@HOME.EXAMPLE",
      after = "alice" }, steps[3].substitutions[1])
    assert.same({ pattern = "i", with = "y", global = true, count = 1, before = "alice", after = "alyce" },
      steps[3].substitutions[2])
  end)
end)

describe("deployed rules", function()
  local site = [[
<?xml version="1.0"?>
<configuration xmlns:xi="http://www.w3.org/2001/XInclude">
  <xi:include href="mechanism.xml"/>
  <property>
    <name>hadoop.security.auth_to_local</name>
    <value>
      RULE:[2:$1@$0]([nd]n@HOME\.EXAMPLE)s/.*/hdfs/
      RULE:[1:$1@$0](.*@PARTNER\.EXAMPLE)s/@.*/-partner/
      DEFAULT
    </value>
    <final>true</final>
  </property>
</configuration>
]]
  local function mechanism(word)
    return "<configuration><property><name>hadoop.security.auth_to_local.mechanism</name><value>" .. word
      .. "</value></property></configuration>"
  end

  it("come from core-site.xml, with its mechanism", function()
    local folder = folder_with({ ["core-site.xml"] = site, ["mechanism.xml"] = mechanism("hadoop") })
    local rules = assert(a2l.from_core_site(folder .. "core-site.xml", HOME))
    assert.equal("durward.a2l.rules: 3 rules (hadoop)", tostring(rules))
    assert.equal("hdfs", rules:map("nn/h@HOME.EXAMPLE"))
    assert.equal("alice-partner", rules:map("alice@PARTNER.EXAMPLE"))
    assert.equal("alice", rules:map("alice@HOME.EXAMPLE"))
    assert.equal("NO_MATCHING_RULE", (select(3, rules:map("alice@ELSE.EXAMPLE"))))
    folder = folder_with({ ["core-site.xml"] = site, ["mechanism.xml"] = mechanism("mit") })
    rules = assert(a2l.from_core_site(folder .. "core-site.xml", HOME))
    assert.equal("durward.a2l.rules: 3 rules (hadoop-mit)", tostring(rules))
    assert.equal("alice@ELSE.EXAMPLE", rules:map("alice@ELSE.EXAMPLE"))
  end)

  it("take their default realm from a krb5.conf", function()
    local folder = folder_with({ ["core-site.xml"] = site, ["mechanism.xml"] = mechanism("hadoop"),
      ["krb5.conf"] = "[libdefaults]\n default_realm = ELSE.EXAMPLE\n" })
    local rules = assert(a2l.from_core_site(folder .. "core-site.xml", { krb5_conf = folder .. "krb5.conf" }))
    assert.equal("alice", rules:map("alice@ELSE.EXAMPLE"))
  end)

  it("are told with file and line when they are wrong", function()
    local folder = folder_with({ ["core-site.xml"] = site, ["mechanism.xml"] = mechanism("hadop") })
    local rules, why, code = a2l.from_core_site(folder .. "core-site.xml", HOME)
    assert.same({ nil, folder .. "mechanism.xml:1: hadoop.security.auth_to_local.mechanism is "
      .. '"hadoop" or "mit", not hadop', "FAILED" }, { rules, why, code })
    rules, why = a2l.from_core_site(folder .. "none.xml", HOME)
    assert.same({ nil, folder .. "none.xml: No such file or directory" }, { rules, why })
    assert.error_matches(function()
      a2l.from_core_site("x", { default_relm = "X" })
    end, "unknown option 'default_relm', did you mean 'default_realm'?", 1, true)
    assert.error_matches(function()
      a2l.from_core_site("x", { default_realm = 1 })
    end, "default_realm is a number, not a string", 1, true)
  end)

  it("stand beside the policy that names them", function()
    local folder = folder_with({ ["core-site.xml"] = site, ["mechanism.xml"] = mechanism("hadoop"), ["policy.lua"] = [[
local durward = require("durward")
local a2l = require("durward.a2l")
return {
  map = durward.map.a2l(assert(a2l.from_core_site("core-site.xml", { default_realm = "HOME.EXAMPLE" }))),
  authorize = durward.rule.allow("all"),
}]] })
    local policy = require("durward.kit").load(folder .. "policy.lua")
    assert.equal("alice-partner", policy:decide({ principal = "alice@PARTNER.EXAMPLE" }).user)
    local decision = policy:decide({ principal = "alice@ELSE.EXAMPLE" })
    assert.same({ "deny", "not mapped: no rule maps alice@ELSE.EXAMPLE to a user (NO_MATCHING_RULE)" },
      { decision.verdict, (decision.reason) })
  end)

  it("are not there for a policy that asks for a file that is not", function()
    assert.has_error(function()
      support.policy([[return { map = map.a2l(assert(require("durward.a2l").from_core_site("/nowhere.xml"))) }]])
    end)
  end)
end)
