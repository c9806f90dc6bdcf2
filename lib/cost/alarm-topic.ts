import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type IKey, Key } from 'aws-cdk-lib/aws-kms';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { addRecipients } from '../private/alarm-recipients';

/** A Slack channel that Amazon Q Developer in chat applications posts to. */
export interface SlackChannel {
  /** The workspace's id, from Amazon Q Developer in chat applications, where it has to be authorized once. */
  readonly workspaceId: string;

  /** The channel's id, the last part of its link. */
  readonly channelId: string;
}

/** A Microsoft Teams channel that Amazon Q Developer in chat applications posts to. */
export interface TeamsChannel {
  /** The tenant's id; it has to be authorized once in Amazon Q Developer in chat applications. */
  readonly tenantId: string;

  /** The team's id. */
  readonly teamId: string;

  /** The channel's id as it stands in the channel's link, URL-encoded: `19%3a…%40thread.tacv2`. */
  readonly channelId: string;
}

/** Who is told. */
export interface AlarmRecipients {
  /**
   * E-mail addresses. Each gets a message whose link it has to follow once.
   *
   * @default - none
   */
  readonly emails?: string[];

  /**
   * HTTPS addresses, such as a pager's. Each has to confirm SNS's subscription once.
   *
   * @default - none
   */
  readonly httpsEndpoints?: string[];

  /**
   * Slack channels.
   *
   * @default - none
   */
  readonly slackChannels?: SlackChannel[];

  /**
   * Microsoft Teams channels.
   *
   * @default - none
   */
  readonly teamsChannels?: TeamsChannel[];
}

/** Properties of an alarm topic. */
export interface AlarmTopicProps extends AlarmRecipients {
  /**
   * The key that messages are encrypted with. A key of this app lets the services that publish use it; the policy of an
   * imported one must do so already. It can't be the one that AWS manages: alarms may not use that.
   *
   * @default - a new one, $1 a month
   */
  readonly encryptionKey?: IKey;
}

/** The services that publish: alarms, AWS Budgets, Cost Anomaly Detection. */
const PUBLISHERS = ['cloudwatch', 'budgets', 'costalerts'];

/**
 * An encrypted topic for alarms: CloudWatch's, those of AWS Budgets and of Cost Anomaly Detection may publish to it, and
 * nobody without TLS.
 */
export class AlarmTopic extends Construct {
  /** The topic. */
  public readonly topic: Topic;

  /** The key. */
  public readonly encryptionKey: IKey;

  constructor(scope: Construct, id: string, props: AlarmTopicProps = {}) {
    super(scope, id);
    const { account } = Stack.of(this);
    this.encryptionKey =
      props.encryptionKey ??
      new Key(this, 'Key', {
        description: 'Messages of alarms',
        enableKeyRotation: true,
        // Messages are delivered in seconds: nothing is left that it would be needed for.
        removalPolicy: RemovalPolicy.DESTROY,
      });
    this.topic = new Topic(this, 'Resource', { masterKey: this.encryptionKey, enforceSSL: true });
    const ofThisAccount = { StringEquals: { 'aws:SourceAccount': account } };
    for (const service of PUBLISHERS) {
      const principals = [new ServicePrincipal(`${service}.amazonaws.com`)];
      this.topic.addToResourcePolicy(
        new PolicyStatement({
          principals,
          actions: ['sns:Publish'],
          resources: [this.topic.topicArn],
          conditions: ofThisAccount,
        }),
      );
      this.encryptionKey.addToResourcePolicy(
        new PolicyStatement({
          principals,
          actions: ['kms:Decrypt', 'kms:GenerateDataKey*'],
          resources: ['*'],
          conditions: ofThisAccount,
        }),
      );
    }
    this.addRecipients(props);
  }

  /** Tells somebody else, too. */
  public addRecipients(recipients: AlarmRecipients): void {
    addRecipients(this, this.topic, recipients);
  }
}
