package mem

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// write is one write, alone or in a transaction, checked as far as it can be without the item that it meets.
type write struct {
	table     *table
	key       item
	put       item    // what a put stores
	change    *update // what an update does
	remove    bool
	condition *node
	showOld   bool // a refusal carries the old item
}

func (db *DB) put(in *types.Put) (*write, error) {
	t, err := db.table(in.TableName)
	if err != nil {
		return nil, err
	}
	w := &write{table: t}
	if w.put, err = t.acceptedPut(in.Item); err != nil {
		return nil, err
	}
	w.key = t.keyOf(w.put)
	return w, w.conditioned(in.ConditionExpression, nil, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure)
}

func (db *DB) update(in *types.Update) (*write, error) {
	w, err := db.keyed(in.TableName, in.Key)
	if err != nil {
		return nil, err
	}
	w.change = &update{}
	return w, w.conditioned(in.ConditionExpression, in.UpdateExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure)
}

func (db *DB) delete(in *types.Delete) (*write, error) {
	w, err := db.keyed(in.TableName, in.Key)
	if err != nil {
		return nil, err
	}
	w.remove = true
	return w, w.conditioned(in.ConditionExpression, nil, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure)
}

func (db *DB) check(in *types.ConditionCheck) (*write, error) {
	w, err := db.keyed(in.TableName, in.Key)
	if err != nil {
		return nil, err
	}
	if in.ConditionExpression == nil {
		return nil, invalid("Value null at 'conditionExpression' failed to satisfy constraint: Member must not be null")
	}
	return w, w.conditioned(in.ConditionExpression, nil, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure)
}

func (db *DB) keyed(name *string, key item) (*write, error) {
	t, err := db.table(name)
	if err != nil {
		return nil, err
	}
	accepted, err := t.acceptedKey(key)
	return &write{table: t, key: accepted}, err
}

// conditioned parses the expressions of the write.
func (w *write) conditioned(condition, change *string, names map[string]string, values item, onFailure types.ReturnValuesOnConditionCheckFailure) error {
	switch onFailure {
	case "", types.ReturnValuesOnConditionCheckFailureNone:
	case types.ReturnValuesOnConditionCheckFailureAllOld:
		w.showOld = true
	default:
		return invalid("Value '%s' at 'returnValuesOnConditionCheckFailure' failed to satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]", onFailure)
	}
	s, err := newScope(names, values)
	if err != nil {
		return err
	}
	if w.change != nil {
		if w.change, err = s.updateExpression(change); err != nil {
			return err
		}
	}
	if w.condition, err = s.condition("ConditionExpression", condition); err != nil {
		return err
	}
	if err := s.done(); err != nil {
		return err
	}
	return w.keepsKey()
}

func (w *write) keepsKey() error {
	if w.change == nil {
		return nil
	}
	for _, p := range w.change.paths() {
		if slices.Contains(w.table.keyNames(), p[0].name) {
			return invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", p[0].name)
		}
	}
	return nil
}

// next is what the write makes of the item that it meets, nil for none.
func (w *write) next(old item) (item, error) {
	if !w.condition.holds(old) {
		if w.showOld {
			return nil, conditionFailed(old)
		}
		return nil, conditionFailed(nil)
	}
	switch {
	case w.put != nil:
		return w.put, nil
	case w.remove:
		return nil, nil
	case w.change == nil:
		return old, nil
	case old == nil:
		old = w.key
	}
	it, err := w.change.apply(old)
	if err != nil {
		return nil, err
	}
	return it, w.table.checkStored(it, "Item size to update has exceeded the maximum allowed size")
}

// run does a write alone.
func (w *write) run() (old, updated item, err error) {
	old = w.table.items[w.id()]
	if updated, err = w.next(old); err != nil {
		return nil, nil, err
	}
	w.store(updated)
	return old, updated, nil
}

func (w *write) id() string { return w.table.id(w.key) }

func (w *write) store(it item) {
	if it == nil {
		delete(w.table.items, w.id())
		return
	}
	w.table.items[w.id()] = it
}
