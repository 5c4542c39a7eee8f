-- hadoop: the users that Hadoop itself would give, by the rules of hadoop.security.auth_to_local.
--
-- RULES: as they stand in core-site.xml, one each.  Hadoop's rules are not MIT's: `/L` makes lower case, and
-- patterns are Java's.  `durward check` tells the traps in them.
--
--   $ durward explain -p policies/hadoop.lua --principal nn/nn1.example.com@HADOOP.EXAMPLE
--   allow hdfs

local REALM = "HADOOP.EXAMPLE"
local RULES = {
  "RULE:[2:$1@$0]([nsd]n@HADOOP.EXAMPLE)s/.*/hdfs/",
  "RULE:[2:$1@$0]([rn]m@HADOOP.EXAMPLE)s/.*/yarn/",
  "RULE:[1:$1@$0]([^@]*@HADOOP.EXAMPLE)s/@.*///L",
}

local durward = require("durward")
local match, rule = durward.match, durward.rule

---@type durward.Policy
return {
  map = durward.map.a2l(RULES, { dialect = "hadoop", default_realm = REALM }),

  authorize = rule.first {
    rule.allow("Hadoop's own services", match.user("hdfs", "yarn"), match.instance("*")),
    rule.deny("names of services, but of a person", match.user("hdfs", "yarn")),
    rule.allow("people of the realm", match.realm(REALM)),
  },
}
