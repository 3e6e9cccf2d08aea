package provider

import "strings"

const typeLogGroup = "aws:cloudwatch/logGroup:LogGroup"

// retentionDays is what PutRetentionPolicy accepts, and 0 for never (CloudWatch Logs API reference).
func retentionDays() []string {
	return []string{"0", "1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365", "400", "545", "731", "1096",
		"1827", "2192", "2557", "2922", "3288", "3653"}
}

// logGroup is a CloudWatch log group. Limits: CloudWatch Logs API reference, CreateLogGroup.
func logGroup() resourceType {
	name := func(limit float64) property {
		return aText().from(1, limit).like(`^[.\-_/#A-Za-z0-9]+$`, "letters, digits and . - _ / #").fixed()
	}
	return resourceType{
		token: typeLogGroup,
		props: map[string]property{
			"kmsKeyId":        anARN(),
			"logGroupClass":   aText().oneOf("STANDARD", "INFREQUENT_ACCESS", "DELIVERY").fixed().or(text("STANDARD")),
			"name":            name(512).not("namePrefix"),
			"namePrefix":      name(483),
			"retentionInDays": aNumber().oneOf(retentionDays()...),
			"skipDestroy":     aFlag(),
		},
		outputs:  []string{"arn"},
		identity: []string{"name"},
		naming:   &naming{property: "name", limit: 512},
		tagged:   true,
		check: func(_ *cloud, in bag) []problem {
			if strings.HasPrefix(getText(in, "name"), "aws/") {
				return []problem{problemf("name", "begins with aws/, which AWS keeps for itself")}
			}
			return nil
		},
		create: createLogGroup,
		update: func(o *op) (bag, error) { return nil, o.checkLogKey() },
	}
}

func createLogGroup(o *op) (string, bag, error) {
	name := getText(o.in, "name")
	if _, taken := o.world.get(typeLogGroup, name); taken {
		return "", nil, denyf("ResourceAlreadyExistsException", "The specified log group already exists: %s", name)
	}
	if err := o.checkLogKey(); err != nil {
		return "", nil, err
	}
	return name, bag{"arn": text(o.arn("logs", "log-group:"+name))}, nil
}

// checkLogKey refuses a key that CloudWatch Logs may not use: its policy must name the service
// (CloudWatch Logs User Guide, "Encrypt log data using AWS KMS").
func (o *op) checkLogKey() error {
	key := getText(o.in, "kmsKeyId")
	if key == "" {
		return nil
	}
	return o.keyAllowsService(key, "logs."+o.region+"."+o.dnsSuffix())
}

// logGroupByARN is the log group an ARN names, with or without the :* that some services want after it.
func (o *op) logGroupByARN(arn string) (*record, bool) {
	return o.world.find(typeLogGroup, "arn", strings.TrimSuffix(arn, ":*"))
}
