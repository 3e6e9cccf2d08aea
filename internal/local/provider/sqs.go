package provider

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeQueue       = "aws:sqs/queue:Queue"
	typeQueuePolicy = "aws:sqs/queuePolicy:QueuePolicy"
	// maxQueuePolicy is the size of a queue's policy in bytes: that of a message (SQS Developer Guide, "Amazon SQS policy quotas").
	maxQueuePolicy = 8192
)

// queueAttributes are the inputs that SQS keeps as attributes, and what it takes for those left out (SQS API reference,
// SetQueueAttributes).
var queueAttributes = map[string]struct {
	name   types.QueueAttributeName
	preset string
}{
	"delaySeconds":                 {types.QueueAttributeNameDelaySeconds, "0"},
	"kmsDataKeyReusePeriodSeconds": {types.QueueAttributeNameKmsDataKeyReusePeriodSeconds, "300"},
	"kmsMasterKeyId":               {types.QueueAttributeNameKmsMasterKeyId, ""},
	"maxMessageSize":               {types.QueueAttributeNameMaximumMessageSize, "262144"},
	"messageRetentionSeconds":      {types.QueueAttributeNameMessageRetentionPeriod, "345600"},
	"receiveWaitTimeSeconds":       {types.QueueAttributeNameReceiveMessageWaitTimeSeconds, "0"},
	"redriveAllowPolicy":           {types.QueueAttributeNameRedriveAllowPolicy, ""},
	"redrivePolicy":                {types.QueueAttributeNameRedrivePolicy, ""},
	"visibilityTimeoutSeconds":     {types.QueueAttributeNameVisibilityTimeout, "30"},
}

// queue is a standard queue. Limits: SQS API reference, SetQueueAttributes; SQS Developer Guide, "Queue quotas".
func queue() resourceType {
	return resourceType{
		token: typeQueue,
		props: map[string]property{
			"delaySeconds":                 aNumber().from(0, 900).or(number(0)),
			"kmsDataKeyReusePeriodSeconds": aNumber().from(60, 86400).byAWS(),
			"kmsMasterKeyId":               aText().from(0, 2048),
			"maxMessageSize":               aNumber().from(1024, 1048576).or(number(262144)),
			"messageRetentionSeconds":      aNumber().from(60, 1209600).or(number(345600)),
			"name":                         aText().from(1, 80).like(`^[A-Za-z0-9_-]+$`, "letters, digits, - and _").fixed().not("namePrefix"),
			"namePrefix":                   aText().from(1, 54).like(`^[A-Za-z0-9_-]+$`, "letters, digits, - and _").fixed(),
			"policy":                       aPolicy().byAWS(),
			"receiveWaitTimeSeconds":       aNumber().from(0, 20).or(number(0)),
			"redriveAllowPolicy":           aPolicy(),
			"redrivePolicy":                aPolicy(),
			"sqsManagedSseEnabled":         aFlag().byAWS().not("kmsMasterKeyId"),
			"visibilityTimeoutSeconds":     aNumber().from(0, 43200).or(number(30)),
		},
		outputs:  []string{"arn", "url"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 80},
		tagged:   true,
		check:    checkQueue,
		create:   createQueue,
		read:     readQueue,
		update:   updateQueue,
		remove: func(o *op) error {
			_, err := o.queues.DeleteQueue(o, &sqs.DeleteQueueInput{QueueUrl: &o.id})
			if gone(err) {
				return nil
			}
			return err
		},
	}
}

// redrive is a queue's redrivePolicy. The count may be written as text.
type redrive struct {
	Target string      `json:"deadLetterTargetArn"`
	Count  json.Number `json:"maxReceiveCount"`
}

func checkQueue(_ *cloud, in bag) []problem {
	var out []problem
	if policy := getText(in, "redrivePolicy"); policy != "" {
		var r redrive
		count := int64(0)
		err := strictJSON([]byte(policy), &r)
		if err == nil {
			count, err = r.Count.Int64()
		}
		if err != nil || !strings.HasPrefix(r.Target, "arn:") || count < 1 || count > 1000 {
			out = append(out, problemf("redrivePolicy", "must be an object with deadLetterTargetArn, an ARN, and maxReceiveCount, 1 to 1000"))
		}
	}
	if policy := getText(in, "redriveAllowPolicy"); policy != "" {
		var r struct {
			Permission string   `json:"redrivePermission"`
			Sources    []string `json:"sourceQueueArns"`
		}
		err := strictJSON([]byte(policy), &r)
		named := r.Permission == "byQueue"
		if err != nil || (!named && r.Permission != "allowAll" && r.Permission != "denyAll") || named != (len(r.Sources) > 0) || len(r.Sources) > 10 {
			out = append(out, problemf("redriveAllowPolicy", "must be an object with redrivePermission allowAll, denyAll or byQueue, and for byQueue 1 to 10 sourceQueueArns"))
		}
	}
	return append(out, checkPolicy(in, "policy", resourcePolicy, maxQueuePolicy)...)
}

func (o *op) queueAttributes() map[string]string {
	out := map[string]string{}
	for key, a := range queueAttributes {
		out[string(a.name)] = a.preset
		if v := o.in[resource.PropertyKey(key)]; v.IsNumber() {
			out[string(a.name)] = strconv.FormatFloat(v.NumberValue(), 'f', -1, 64)
		} else if s := getText(o.in, key); s != "" {
			out[string(a.name)] = s
		}
	}
	if out[string(types.QueueAttributeNameKmsMasterKeyId)] == "" { // SQS refuses the period without its key
		delete(out, string(types.QueueAttributeNameKmsDataKeyReusePeriodSeconds))
	}
	return out
}

// checkQueueReferences refuses keys and dead-letter queues that do not exist.
func (o *op) checkQueueReferences() error {
	if key := getText(o.in, "kmsMasterKeyId"); key != "" {
		if _, err := o.usableKey(key); err != nil {
			return err
		}
	}
	var r redrive
	if policy := getText(o.in, "redrivePolicy"); policy != "" && strictJSON([]byte(policy), &r) == nil {
		if _, found := o.world.find(typeQueue, "arn", r.Target); !found {
			return denyf("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", r.Target)
		}
	}
	return nil
}

func createQueue(o *op) (string, bag, error) {
	name := getText(o.in, "name")
	arn := o.arn("sqs", name)
	if _, taken := o.world.find(typeQueue, "arn", arn); taken {
		return "", nil, denyf("QueueAlreadyExists", "A queue already exists with the same name: %s", name)
	}
	if err := o.checkQueueReferences(); err != nil {
		return "", nil, err
	}
	attributes := o.queueAttributes()
	for k, v := range attributes {
		if v == "" {
			delete(attributes, k)
		}
	}
	if _, err := o.queues.CreateQueue(o, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes, Tags: getDictionary(o.in, "tagsAll")}); err != nil {
		return "", nil, err
	}
	url := o.queueURL(name)
	added := bag{"arn": text(arn), "url": text(url), "policy": text(getText(o.in, "policy"))}
	if !has(o.in, "kmsDataKeyReusePeriodSeconds") {
		set(added, "kmsDataKeyReusePeriodSeconds", number(300))
	}
	if !has(o.in, "sqsManagedSseEnabled") {
		set(added, "sqsManagedSseEnabled", boolean(getText(o.in, "kmsMasterKeyId") == ""))
	}
	if policy := getText(o.in, "policy"); policy != "" {
		return url, added, o.setQueue(url, map[string]string{"Policy": policy})
	}
	return url, added, nil
}

// queueURL has the form that AWS gives; the emulator knows a queue by the end of its URL.
func (c *cloud) queueURL(name string) string {
	return "https://sqs." + c.region + "." + c.dnsSuffix() + "/" + c.account + "/" + name
}

func (o *op) setQueue(url string, attributes map[string]string) error {
	_, err := o.queues.SetQueueAttributes(o, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: attributes})
	return err
}

func (o *op) liveQueue(url string) (map[string]string, bool, error) {
	live, err := o.queues.GetQueueAttributes(o, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if gone(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return live.Attributes, true, nil
}

func readQueue(o *op) (bag, bool, error) {
	live, found, err := o.liveQueue(o.id)
	if !found {
		return nil, false, err
	}
	tags, err := o.queues.ListQueueTags(o, &sqs.ListQueueTagsInput{QueueUrl: &o.id})
	if err != nil {
		return nil, false, err
	}
	out := bag{"arn": text(live["QueueArn"]), "url": text(o.id), "name": text(o.id[strings.LastIndexByte(o.id, '/')+1:]), "tagsAll": dictionary(tags.Tags)}
	for key, a := range queueAttributes {
		value := live[string(a.name)]
		if value == "" {
			value = a.preset
		}
		if p := queue().props[key]; p.kind == kindNumber {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, false, err
			}
			set(out, key, number(n))
		} else if value != "" || has(o.old, key) {
			set(out, key, text(value))
		}
	}
	if policy := getText(o.old, "redriveAllowPolicy"); policy != "" { // the emulator takes it and does not keep it
		set(out, "redriveAllowPolicy", text(policy))
	}
	if has(o.old, "policy") { // a QueuePolicy may hold it: that is no change of this resource
		set(out, "policy", text(live["Policy"]))
	}
	return out, true, nil
}

func updateQueue(o *op) (bag, error) {
	if err := o.checkQueueReferences(); err != nil {
		return nil, err
	}
	attributes := o.queueAttributes()
	if policy := getText(o.in, "policy"); policy != "" {
		attributes["Policy"] = policy
	}
	if err := o.setQueue(o.id, attributes); err != nil {
		return nil, err
	}
	if dropped := o.droppedTags(); len(dropped) > 0 {
		if _, err := o.queues.UntagQueue(o, &sqs.UntagQueueInput{QueueUrl: &o.id, TagKeys: dropped}); err != nil {
			return nil, err
		}
	}
	if tags := getDictionary(o.in, "tagsAll"); len(tags) > 0 {
		if _, err := o.queues.TagQueue(o, &sqs.TagQueueInput{QueueUrl: &o.id, Tags: tags}); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// queuePolicy is the resource policy of a queue.
func queuePolicy() resourceType {
	put := func(o *op, url string) error {
		return o.setQueue(url, map[string]string{"Policy": getText(o.in, "policy")})
	}
	return resourceType{
		token: typeQueuePolicy,
		props: map[string]property{
			"policy":   aPolicy().must(),
			"queueUrl": aText().must().fixed(),
		},
		identity: []string{"queueUrl"},
		check:    func(_ *cloud, in bag) []problem { return checkPolicy(in, "policy", resourcePolicy, maxQueuePolicy) },
		create: func(o *op) (string, bag, error) {
			url := getText(o.in, "queueUrl")
			if _, found, err := o.liveQueue(url); err != nil {
				return "", nil, err
			} else if !found {
				return "", nil, denyf("QueueDoesNotExist", "The specified queue does not exist: %s", url)
			}
			return url, bag{}, put(o, url)
		},
		read: func(o *op) (bag, bool, error) {
			live, found, err := o.liveQueue(o.id)
			if !found || live["Policy"] == "" {
				return nil, false, err
			}
			return bag{"queueUrl": text(o.id), "policy": text(live["Policy"])}, true, nil
		},
		update: func(o *op) (bag, error) { return nil, put(o, o.id) },
		remove: func(o *op) error {
			if _, found, err := o.liveQueue(o.id); !found {
				return err
			}
			return o.setQueue(o.id, map[string]string{"Policy": ""})
		},
	}
}
