import { generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** Certificates generated at run time: they need no tool, and no certificate in the repository can expire. */
export interface Authority {
  readonly cert: string;
  issue(names: { dns?: string[]; ip?: string[] }): { cert: string; key: string };
}

export function createAuthority(name = 'Test CA'): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const self = certificate(name, name, keys.publicKey, keys.privateKey, [
    extension('551d13', true, seq(Buffer.from([1, 1, 0xff]))),
  ]);
  return {
    cert: pem(self),
    issue({ dns = [], ip = [] }) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const names = [
        ...dns.map((each) => tlv(0x82, Buffer.from(each))),
        ...ip.map((each) => tlv(0x87, Buffer.from(each.split('.').map(Number)))),
      ];
      const der = certificate(name, dns[0] ?? ip[0] ?? 'nobody', own.publicKey, keys.privateKey, [
        extension('551d11', false, seq(...names)),
      ]);
      return { cert: pem(der), key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
    },
  };
}

let serial = 1;

function certificate(
  issuer: string,
  subject: string,
  publicKey: KeyObject,
  signer: KeyObject,
  extensions: Buffer[],
): Buffer {
  const algorithm = seq(oid('2a8648ce3d040302')); // ecdsa-with-SHA256
  const body = seq(
    tlv(0xa0, tlv(2, Buffer.from([2]))),
    tlv(2, Buffer.from([1, (serial >> 8) & 0xff, serial++ & 0xff])),
    algorithm,
    distinguished(issuer),
    seq(time(-1), time(1)),
    distinguished(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, seq(...extensions)),
  );
  const signature = sign('sha256', body, signer);
  return seq(body, algorithm, tlv(3, Buffer.concat([Buffer.from([0]), signature])));
}

function tlv(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const head =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, (length >> 8) & 0xff, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), value]);
}

function seq(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function oid(hex: string): Buffer {
  return tlv(6, Buffer.from(hex, 'hex'));
}

function distinguished(name: string): Buffer {
  return seq(tlv(0x31, seq(oid('550403'), tlv(0x0c, Buffer.from(name)))));
}

function time(days: number): Buffer {
  const text = new Date(Date.now() + days * 86_400_000).toISOString();
  return tlv(0x17, Buffer.from(`${text.slice(2, 19).replace(/[-:T]/g, '')}Z`));
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return seq(oid(id), ...(critical ? [Buffer.from([1, 1, 0xff])] : []), tlv(4, value));
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').replace(/(.{64})/g, '$1\n');
  return `-----BEGIN CERTIFICATE-----\n${lines.trimEnd()}\n-----END CERTIFICATE-----\n`;
}
