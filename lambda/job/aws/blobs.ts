import type { Readable } from 'node:stream';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { Objects } from '../batch/files.ts';
import type { Blobs } from '../ports.ts';

/** A bucket of texts. Its lifecycle deletes them after the jobs that they belong to. */
export class S3Blobs implements Blobs, Objects {
  readonly bucket: string;
  readonly client: S3Client;

  constructor(bucket: string, client: S3Client = new S3Client({ customUserAgent: 'cdk-llm-serving' })) {
    this.bucket = bucket;
    this.client = client;
  }

  async put(key: string, text: string): Promise<void> {
    await this.client.send(
      new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: text, ContentType: 'application/json' }),
    );
  }

  async get(key: string): Promise<string> {
    return (await this.#body(key)).transformToString('utf8');
  }

  /** As it comes, for what may be long. */
  async read(key: string): Promise<Readable> {
    return (await this.#body(key)) as unknown as Readable;
  }

  async #body(key: string) {
    const { Body } = await this.client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
    if (Body === undefined) throw new Error('the object has no body');
    return Body;
  }
}
