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
  readonly key: string;
  readonly ttl: number;
}

export const fileKey = (id: string) => ({ pk: `file#${id}`, sk: 'file' });

/** Once: a second time changes nothing. */
export async function keepFile(file: StoredFile, items: ItemTable): Promise<void> {
  const listed = listAttributes(file.consumer, 'file', file.createdAt, file.id);
  await items.create(fileKey(file.id), { ...(file as unknown as Item), ...listed }, file.createdAt);
}

export const asFile = (item: Item): StoredFile => item as unknown as StoredFile;
