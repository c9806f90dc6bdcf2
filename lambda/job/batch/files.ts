import type { Readable } from 'node:stream';
import { type ItemTable, listAttributes } from '../aws/table.ts';
import type { Item } from '../change.ts';

/** A file of a consumer's; its content is in S3. */
export interface StoredFile {
  readonly id: string;
  readonly consumer: string;
  readonly filename: string;
  readonly bytes: number;
  readonly purpose: 'batch' | 'batch_output';
  readonly createdAt: number;
  /** Its object, or what the names of its parts' objects begin with. */
  readonly key: string;
  /** Names of the parts, in their order, as JSON; absent of a file that is one object. */
  readonly parts?: string;
  readonly ttl: number;
}

/** Where bytes are read as they come. */
export interface Objects {
  read(key: string): Promise<Readable>;
}

export const partKey = (key: string, part: string): string => `${key}/${part}`;

/** A file's bytes, of one part after another. */
export async function* bytesOf(
  { key, parts }: Pick<StoredFile, 'key' | 'parts'>,
  objects: Objects,
): AsyncGenerator<Uint8Array> {
  const keys = parts === undefined ? [key] : (JSON.parse(parts) as string[]).map((part) => partKey(key, part));
  for (const each of keys) yield* await objects.read(each);
}

export const fileKey = (id: string) => ({ pk: `file#${id}`, sk: 'file' });

/** Once: a second time changes nothing. */
export async function keepFile(file: StoredFile, items: ItemTable): Promise<void> {
  const listed = listAttributes(file.consumer, 'file', file.createdAt, file.id);
  await items.create(fileKey(file.id), { ...(file as unknown as Item), ...listed }, file.createdAt);
}

export const asFile = (item: Item): StoredFile => item as unknown as StoredFile;
