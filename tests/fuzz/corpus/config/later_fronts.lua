local t = {}
return {
 zap = { { name = 'z', listen = 'ipc:///run/z', mode = '0600', group = 'root' } },
 dovecot = { { name = 'd', listen = 'tcp://*:1', services = {'xmpp'}, allow_from = {'10.0.0.0/8'}, keytab = 'k' } },
 xmpp = { { name = 'x', listen = 'tcp://*:5222', domain = 'a', hosts = {'b'}, keytab = 'k', mechanisms = {'GS2-KRB5'},
   hostname_namespaces = { ':1', 'draft' }, hostname_in_features = true, require_mutual = true, idle_seconds = 1.5,
   tls = { certificate = 'c', key = 'k' }, direct_tls = true, domains = { ['example.org'] = {
   tls = { certificate = 'c', key = 'k' }, hostname = 'x', realm = 'R',
   backend = { connect = 'ipc:///run/x', tls = 'none', login = 'jwt', secret_file = 's', proxy = 2 } } },
   backend = { connect = 'tcp://h:5223', ca_file = 'f', name = 'n', login = 'external', ca_certificate = 'c',
     ca_key = 'k', pool = 0 } } },
 zmtp = { t }, limits = { memory = 2^30 },
}
