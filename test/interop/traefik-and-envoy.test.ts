import t from 'tap'
import { testBehindFront, testBehindGateway } from '../support/behind-gateway.js'
import { skip as noNginx } from '../support/nginx.js'
import { envoy, startEnvoy, startTraefik, traefik } from '../support/proxies.js'

const ofTraefik = { start: startTraefik, tellsOfSuccess: false, saysAddress: false, away: 500 } as const
const ofEnvoy = { start: startEnvoy, tellsOfSuccess: true, saysAddress: true, away: 503 } as const

t.test(
  'attack 123: an API behind Traefik, configured as docs/gateways/traefik.yaml says',
  { skip: traefik.skip },
  async (t) => {
    await testBehindGateway(t, ofTraefik)
  },
)

t.test('attack 101: nginx in front of the server that Traefik asks', { skip: traefik.skip || noNginx }, (t) =>
  testBehindFront(t, ofTraefik),
)

t.test(
  'attack 123: an API behind Envoy, configured as docs/gateways/envoy.yaml says',
  { skip: envoy.skip },
  async (t) => {
    await testBehindGateway(t, ofEnvoy)
  },
)

t.test('attack 101: nginx in front of the server that Envoy asks', { skip: envoy.skip || noNginx }, (t) =>
  testBehindFront(t, ofEnvoy),
)
