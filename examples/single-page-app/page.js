// The tokens lie in variables of this page and nowhere else: they end with it.

const { issuer, api, client: client_id } = document.body.dataset
const redirect_uri = `${location.origin}/callback`
const [status, list, signInButton, reloadButton, signOutButton] = document.querySelectorAll('[role=status], ul, button')
const base64url = (bytes) => bytes.toBase64({ alphabet: 'base64url', omitPadding: true })
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)))
const asked = { response_type: 'code', client_id, redirect_uri, scope: 'orders:read', code_challenge_method: 'S256' }

let login // What was begun in the other window.
let tokens = Promise.resolve() // Of nothing, while nobody is signed in.

// The server is shown in a window of its own, so that this page, and the verifier in it, lives on meanwhile.
if (location.pathname === '/callback') {
  window.opener?.postMessage(location.search, location.origin)
  window.close()
}

signInButton.onclick = async () => {
  // First of all: a browser opens a window for a click alone.
  const popup = window.open('', 'sign-in', 'popup,width=520,height=720')
  login = { popup, verifier: random(), state: random() }
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(login.verifier))
  const request = { ...asked, state: login.state, code_challenge: base64url(new Uint8Array(digest)) }
  popup.location = `${issuer}/authorize?${new URLSearchParams(request)}`
}

window.onmessage = async ({ origin, source, data }) => {
  if (origin !== location.origin || source !== login?.popup) return
  const { verifier, state } = login
  login = undefined
  const answer = new URLSearchParams(data)
  // It answers what was asked here (RFC 9700 §4.7), and comes from the server that was asked (RFC 9207 §2.4).
  const isOurs = answer.get('state') === state && answer.get('iss') === issuer
  if (!isOurs || !answer.has('code')) return show(`That did not work: ${answer.get('error') ?? 'not our answer'}`)
  tokens = take({ grant_type: 'authorization_code', code: answer.get('code'), redirect_uri, code_verifier: verifier })
  await load()
}

const post = (path, form) => fetch(issuer + path, { method: 'POST', body: new URLSearchParams({ client_id, ...form }) })

async function take(form) {
  const answer = await post('/token', form)
  const taken = await answer.json()
  return answer.ok ? { ...taken, staleAt: Date.now() + (taken.expires_in - 30) * 1000 } : undefined
}

async function load() {
  // Refreshed where they end soon; one after the other, since a refresh token is good once.
  tokens = tokens.then((held) => {
    if (!(Date.now() > held?.staleAt)) return held
    return take({ grant_type: 'refresh_token', refresh_token: held.refresh_token })
  })
  const authorization = `Bearer ${(await tokens)?.access_token}`
  const answer = await fetch(`${api}/orders`, { headers: { authorization } })
  const { orders, for: user } = await answer.json()
  show(answer.ok ? `Of ${user}` : `The API answered ${answer.status}: sign in again.`, orders)
}
reloadButton.onclick = load

signOutButton.onclick = async () => {
  // It ends with every access token that came of it.
  await post('/revoke', { token: (await tokens).refresh_token })
  tokens = Promise.resolve()
  show('Nobody is signed in.')
}

function show(text, orders) {
  const items = orders?.map(({ item }) => Object.assign(document.createElement('li'), { textContent: item }))
  status.textContent = text
  list.replaceChildren(...(items ?? []))
  signInButton.hidden = orders !== undefined
  reloadButton.hidden = signOutButton.hidden = orders === undefined
}
