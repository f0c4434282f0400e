import { createSign, generateKeyPairSync } from 'node:crypto'

export interface MadeCertificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface CertificateSubject {
  readonly name: string
  readonly notBefore: Date
  readonly notAfter: Date
}

let serial = 0

/** A self-signed certificate (RFC 5280 §4.1) with a P-256 key of its own: Node reads certificates, but makes none. */
export function makeCertificate({ name, notBefore, notAfter }: CertificateSubject): MadeCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(objectId('2a8648ce3d040302'))
  const commonName = sequence(tagged(0x31, sequence(objectId('550403'), tagged(0x0c, Buffer.from(name)))))
  const body = sequence(
    tagged(0xa0, integer(2)),
    integer(++serial),
    algorithm,
    commonName,
    sequence(generalizedTime(notBefore), generalizedTime(notAfter)),
    commonName,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = createSign('sha256').update(body).sign(privateKey)
  const whole = sequence(body, algorithm, tagged(0x03, Buffer.concat([Buffer.of(0), signature])))
  const lines = whole.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
  }
}

/** DER: tag, length, content. X.690 §8.1. */
function tagged(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const lengths = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.of(tag, ...lengths), content])
}

const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, ...parts)
const objectId = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, 'hex'))
const integer = (value: number): Buffer =>
  tagged(0x02, Buffer.of(0, value >> 8, value & 255).subarray(value < 128 ? 2 : 0))
const generalizedTime = (time: Date): Buffer =>
  tagged(0x18, Buffer.from(time.toISOString().replace(/\.\d+|[-:T]/g, '')))
