export interface AccessToken {
  readonly token: string;
  /** How long it is valid, ms. */
  readonly validMs: number;
}

export interface GoogleTokenOptions {
  /** Lets Google's endpoints be servers on this machine. Only for tests. */
  readonly allowLoopback: boolean;
  readonly now: () => number;
}
