import t from 'tap'
import { ConfigError, loadConfig } from '../../../../src/platform/config/index.js'

t.test('the implicit flow is off, and is warned of where it is on', async (t) => {
  const { config, warnings } = loadConfig({ env: {} })
  t.same(config.clients, { assertionAudience: 'issuer', implicit: false })
  t.same(warnings, [])
  const on = loadConfig({ env: { IMPLICIT: 'on' } })
  t.equal(on.config.clients.implicit, true)
  t.match(on.warnings, [/^IMPLICIT is on: .*RFC 9700 §2\.1\.2.*Dynamic OP/])
  t.throws(() => loadConfig({ env: { IMPLICIT: 'yes' } }), ConfigError)
})
