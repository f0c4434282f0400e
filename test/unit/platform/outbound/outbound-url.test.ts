import t from 'tap'
import { outboundProblem } from '../../../../src/platform/outbound/outbound-url.js'

const nobody: ReadonlySet<string> = new Set()

t.test('attack 95: what an address says by itself', async (t) => {
  for (const [url, expected] of [
    ['https://client.example.com/jwks.json', undefined],
    ['https://client.example.com:8443/jwks.json?a=b', undefined],
    ['https://client.example.com./jwks.json', undefined],
    ['https://8.8.8.8/', 'outbound_not_public'],
    ['https://[2606:4700:4700::1111]/', 'outbound_not_public'],
    ['', 'outbound_url_malformed'],
    ['client.example.com', 'outbound_url_malformed'],
    ['https://', 'outbound_url_malformed'],
    ['https://client.example.com:0/', 'outbound_url_malformed'],
    ['https://client.example.com:65536/', 'outbound_url_malformed'],
    [`https://client.example.com/${'a'.repeat(2_048)}`, 'outbound_url_malformed'],
    ['https://user@client.example.com/', 'outbound_url_credentials'],
    ['https://:secret@client.example.com/', 'outbound_url_credentials'],
    ['http://client.example.com/jwks.json', 'outbound_not_https'],
    ['ftp://client.example.com/', 'outbound_not_https'],
    ['file:///etc/passwd', 'outbound_not_https'],
    ['data:application/json,{}', 'outbound_not_https'],
    ['gopher://127.0.0.1:6379/_INFO', 'outbound_not_https'],
    ['https://localhost/', 'outbound_not_public'],
    ['https://LOCALHOST./', 'outbound_not_public'],
    ['https://a.localhost/', 'outbound_not_public'],
    ['https://database/', 'outbound_not_public'],
    ['https://database./', 'outbound_not_public'],
    ['https://printer.local/', 'outbound_not_public'],
    ['https://metadata.google.internal/', 'outbound_not_public'],
    ['https://router.home.arpa/', 'outbound_not_public'],
    ['https://127.0.0.1/', 'outbound_not_public'],
    ['https://2130706433/', 'outbound_not_public'],
    ['https://0x7f.1/', 'outbound_not_public'],
    ['https://0177.0.0.1/', 'outbound_not_public'],
    ['https://①②⑦.0.0.1/', 'outbound_not_public'],
    ['https://127。0。0。1/', 'outbound_not_public'],
    ['https://127.0.0.1./', 'outbound_not_public'],
    ['https://169.254.169.254/latest/meta-data/', 'outbound_not_public'],
    ['https://[::1]/', 'outbound_not_public'],
    ['https://[::ffff:127.0.0.1]/', 'outbound_not_public'],
    ['https://[fd00:ec2::254]/', 'outbound_not_public'],
    ['https://[64:ff9b::a9fe:a9fe]/', 'outbound_not_public'],
  ] as const) {
    t.equal(outboundProblem(url, nobody), expected, url)
  }
})

t.test('an exemption is of one host and port', async (t) => {
  const exempt = new Set(['localhost:3001', '[::1]:443', 'intranet:80'])
  for (const [url, expected] of [
    ['http://localhost:3001/jwks', undefined],
    ['https://localhost:3001/jwks', undefined],
    ['https://[::1]/jwks', undefined],
    ['https://[0:0::1]:443/jwks', undefined],
    ['http://intranet/jwks', undefined],
    ['https://localhost:3002/jwks', 'outbound_not_public'],
    ['http://localhost:3002/jwks', 'outbound_not_https'],
    ['https://intranet/jwks', 'outbound_not_public'],
    ['https://user@localhost:3001/jwks', 'outbound_url_credentials'],
    ['ftp://localhost:3001/jwks', 'outbound_not_https'],
  ] as const) {
    t.equal(outboundProblem(url, exempt), expected, url)
  }
})
