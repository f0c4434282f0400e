import t from 'tap'
import { testBehindGateway } from '../support/behind-gateway.js'
import { envoy, startEnvoy, startTraefik, traefik } from '../support/proxies.js'

t.test(
  'attack 123: an API behind Traefik, configured as docs/gateways/traefik.yaml says',
  { skip: traefik.skip },
  async (t) => {
    await testBehindGateway(t, { start: startTraefik, tellsOfSuccess: false, away: 500 })
  },
)

t.test(
  'attack 123: an API behind Envoy, configured as docs/gateways/envoy.yaml says',
  { skip: envoy.skip },
  async (t) => {
    await testBehindGateway(t, { start: startEnvoy, tellsOfSuccess: true, away: 503 })
  },
)
