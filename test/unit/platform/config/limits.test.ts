import t from 'tap'
import { loadConfig } from '../../../../src/platform/config/index.js'

t.test('no network, address or user has a limit on what succeeds unless a setting gives it a tier', async (t) => {
  t.match(loadConfig({ env: {} }).config.limits, {
    rateTierNetwork: undefined,
    rateTierAddress: undefined,
    rateTierUser: undefined,
  })
  const env = { RATE_TIER_NETWORK: 'standard', RATE_TIER_ADDRESS: 'one.at-a_time', RATE_TIER_USER: '0' }
  t.match(loadConfig({ env }).config.limits, {
    rateTierNetwork: 'standard',
    rateTierAddress: 'one.at-a_time',
    rateTierUser: '0',
  })
})

t.test('what can be no name of a tier is refused', async (t) => {
  for (const name of ['RATE_TIER_NETWORK', 'RATE_TIER_ADDRESS', 'RATE_TIER_USER']) {
    for (const value of ['Standard', '.x', 'a b', 'x'.repeat(65), '"']) {
      t.throws(
        () => loadConfig({ env: { [name]: value } }),
        { name: 'ConfigError', message: `${name} is ${JSON.stringify(value)}. Set it to the name of a tier: ` },
        `${name}=${value}`,
      )
    }
  }
})
