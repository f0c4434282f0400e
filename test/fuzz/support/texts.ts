import fc from 'fast-check'

/** Texts that have broken servers before. */
export const infamous = [
  '',
  ' ',
  '\0',
  '\r\nSet-Cookie: ostiary_session=x',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '[object Object]',
  'undefined',
  'null',
  'NaN',
  '-1',
  '1e999',
  '9007199254740993',
  '\ud800',
  '\udc00\ud800',
  'a\ud83d',
  '\u202e\u2066\ufeff',
  '\u0000\u001f\u007f\u0085\u2028',
  'e\u0301'.repeat(300),
  '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
  'ǅ İ ı ß ﬀ Ⅷ',
  "' OR '1'='1",
  '%; DROP TABLE client; --',
  '%_%',
  '\\',
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '{{7*7}}',
  'javascript:alert(1)',
  'data:text/html,x',
  '//evil.example',
  'https://app.example/cb',
  'https://app.example/cb#fragment',
  'https://app.example\\@evil.example/cb',
  'https://user:pass@app.example/cb',
  'http://[::1',
  'http://127.0.0.1:99999/',
  'read write openid offline_access',
  'read  read',
  'plain',
  'S256',
  'none login consent select_account',
  'authorization_code',
  'refresh_token',
  'client_credentials',
  'password',
  'urn:ietf:params:oauth:grant-type:token-exchange',
  '{"a":{"b":[1,2,{"c":null}]}}',
  `${'['.repeat(2000)}${']'.repeat(2000)}`,
  'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.',
  'eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6Ii4uLy4uLyJ9.e30.AAAA',
  'ort_zzzzzz_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'oac_0_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'oat_1__________________________________________________',
]

/** Around the bounds of the server, and far beyond them. */
const lengths = [
  1, 42, 43, 44, 63, 64, 65, 128, 129, 255, 256, 320, 512, 2048, 2049, 4096, 4097, 8191, 8192, 8193,
].concat([16_384, 24_576, 24_577, 65_535, 65_536, 70_000])

export const long = fc
  .tuple(fc.constantFrom(...lengths), fc.constantFrom('a', '%', '&', '=', ' ', '\0', 'é', '\ud800', '😀', 'a=&', '['))
  .map(([length, character]) => character.repeat(Math.ceil(length / character.length)).slice(0, length))

/** A client's metadata as an operator may write it: right but for a few fields, or JSON of any shape, or none. */
export const document: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.constantFrom(
          { client_name: 'Shop', redirect_uris: ['https://app.example/cb'], grant_types: ['authorization_code'] },
          { grant_types: ['client_credentials'], scope: 'read' },
          {},
        ),
        fc.oneof(
          fc.constant({}),
          fc.dictionary(
            fc.oneof(
              { weight: 6, arbitrary: fc.constantFrom(...metadataNames()) },
              { weight: 1, arbitrary: fc.string() },
            ),
            fc.oneof(
              fc.constantFrom(...infamous),
              fc.array(fc.constantFrom(...infamous), { maxLength: 4 }),
              fc.jsonValue({ maxDepth: 3 }),
              long,
              fc.double(),
            ),
            { maxKeys: 4, noNullPrototype: true },
          ),
        ),
      )
      .map(([base, over]) => JSON.stringify({ ...base, ...over })),
  },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.constantFrom(...infamous) },
  { weight: 1, arbitrary: fc.tuple(fc.json(), fc.nat(30)).map(([json, cut]) => json.slice(0, cut)) },
)

function metadataNames(): readonly string[] {
  return [
    'client_id',
    'client_secret',
    'client_name',
    'redirect_uris',
    'grant_types',
    'response_types',
    'scope',
  ].concat(
    ['token_endpoint_auth_method', 'application_type', 'contacts', 'logo_uri', 'client_uri', 'policy_uri', 'tos_uri'],
    ['jwks', 'jwks_uri', 'allowed_origins', 'allowed_resources', 'default_scope', 'first_party', 'require_pkce'],
    ['access_token_lifetime', 'refresh_token_lifetime', 'refresh_token_retry_window', '__proto__', 'disabled_at'],
  )
}
