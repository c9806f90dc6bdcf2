import type { ImageBlock } from '@aws-sdk/client-bedrock-runtime';
import type { ContentPart, ImagePart } from '../../contract/openai.ts';
import { RequestProblem } from './request-problem.ts';

/** API reference, Message: at most 20 images a message, each of at most 3.75 MB. */
export const MAX_IMAGE_BYTES = 3.75 * 1024 * 1024;
export const MAX_IMAGES_PER_MESSAGE = 20;

type Format = 'png' | 'jpeg' | 'gif' | 'webp';

const DATA_URL = /^data:([^;,]*)((?:;[^;,]*)*),/i;

/** Whether it is a data URL; what is in it is checked when it is read. */
export const isDataUrl = (part: ContentPart): boolean => {
  const url = (part as Partial<ImagePart>).image_url?.url;
  return typeof url === 'string' && /^data:/i.test(url);
};

export function isRemoteImage(part: ContentPart): part is ImagePart {
  const url = (part as Partial<ImagePart>).image_url?.url;
  return part.type === 'image_url' && typeof url === 'string' && /^https:/i.test(url);
}

/** @throws RequestProblem */
export function toImageBlock(url: string, path: string): ImageBlock {
  const param = `${path}.image_url.url`;
  const match = DATA_URL.exec(url);
  if (!match || !/;base64$/i.test(match[2] ?? '')) {
    throw new RequestProblem(param, `${param} is not a base64 data URL such as 'data:image/png;base64,…'`);
  }
  const bytes = Buffer.from(url.slice(match[0].length), 'base64');
  if (bytes.length > MAX_IMAGE_BYTES) {
    throw new RequestProblem(
      param,
      `${param} is an image of ${bytes.length} bytes: at most ${MAX_IMAGE_BYTES} are allowed`,
    );
  }
  // The bytes decide: Bedrock refuses an image whose declared format is another one, and clients often guess.
  const format = sniff(bytes);
  if (!format) throw new RequestProblem(param, `${param} is not a PNG, JPEG, GIF or WebP image`);
  return { format, source: { bytes } };
}

function sniff(bytes: Buffer): Format | undefined {
  if (bytes.subarray(0, 8).equals(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))) return 'png';
  if (bytes.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff]))) return 'jpeg';
  const ascii = bytes.subarray(0, 12).toString('latin1');
  if (/^GIF8[79]a/.test(ascii)) return 'gif';
  return /^RIFF.{4}WEBP/s.test(ascii) ? 'webp' : undefined;
}
