import { createHash } from 'node:crypto';
import { Token } from 'aws-cdk-lib';
import type { IBackend, StaticReplyBackendOptions } from '../../model/backend';
import { TokenPrice } from '../../model/token-price';
import type { BackendBinding } from '../backend-binding';
import { backendIdOf, commonConfig } from './base';

/** A notice, not a document; it stands in the function's code. */
const MAX_LENGTH = 4000;

export function requireReply(text: string): void {
  if (Token.isUnresolved(text)) throw new Error('the text of a static reply must be known at synth, but it is a token');
  if (text.trim() === '') throw new Error('the text of a static reply must not be empty');
  if (text.length > MAX_LENGTH) {
    throw new Error(`the text of a static reply must have at most ${MAX_LENGTH} characters, got ${text.length}`);
  }
}

export class StaticReplyBackend implements IBackend {
  public readonly backendId: string;
  public readonly price = TokenPrice.free();

  constructor(
    private readonly text: string,
    options: StaticReplyBackendOptions,
  ) {
    requireReply(text);
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 8);
    this.backendId = backendIdOf(options.backendId, 'static-reply', digest);
  }

  /** @internal */
  public _bind(): BackendBinding {
    return {
      config: { kind: 'static-reply', ...commonConfig(this.backendId, this.price, {}), text: this.text },
      environment: {},
    };
  }
}
