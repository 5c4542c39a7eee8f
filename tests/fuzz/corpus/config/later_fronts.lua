local t = {}
return {
 zap = { { name = 'z', listen = 'ipc:///run/z', mode = '0600', group = 'root' } },
 dovecot = { { name = 'd', listen = 'tcp://*:1', services = {'xmpp'}, allow_from = {'10.0.0.0/8'} } },
 xmpp = { { name = 'x', listen = 'tcp://*:5222', domain = 'a', hosts = {'b'}, domains = { ['example.org'] = {
   tls = { certificate = 'c', key = 'k' }, hostname = 'x',
   backend = { connect = 'tcp://h:5223', tls = 'none', login = 'jwt' } } } } },
 zmtp = { t }, limits = { memory = 2^30 },
}
