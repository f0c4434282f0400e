// Reads recorded histories as JSON and prints, as JSON, which of them porcupine does not find linearizable.
// The models are those of ../support/history.ts, written a second time.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

type operation struct {
	Client   string   `json:"client"`
	Name     string   `json:"name"`
	Invoked  float64  `json:"invoked"`
	Returned *float64 `json:"returned"`
	Token    string   `json:"token"`
	Variant  string   `json:"variant"`
	Answer   string   `json:"answer"`
	Gives    string   `json:"gives"`
	Late     string   `json:"late"`
}

type history struct {
	Model      string      `json:"model"`
	Key        string      `json:"key"`
	Operations []operation `json:"operations"`
}

// The name of a refresh token that nobody was told yet.
const unknown = "?"

// FAILURES_PER_CLIENT.
const guessBound = 10

type grant struct {
	Spent, Ended               bool
	Current, Previous, Variant string
}

// Of a token that is over by its own time it may be said that it is not active, whether it was revoked or not.
func introspected(o operation, stands bool) bool {
	switch o.Answer {
	case "active":
		return stands && o.Late != "certainly"
	case "inactive":
		return !stands || o.Late != ""
	}
	return true
}

func stepGrant(s grant, o operation) []grant {
	could := func(answer string) bool { return o.Answer == "" || o.Answer == answer }
	ended := s
	ended.Ended = true
	gives := o.Gives
	if gives == "" {
		gives = unknown
	}
	refused := func(after grant) []grant {
		if could("refused") {
			return []grant{after}
		}
		return nil
	}
	switch o.Name {
	case "revoke":
		return []grant{ended}
	case "introspect":
		if introspected(o, !s.Ended) {
			return []grant{s}
		}
		return nil
	case "redeem":
		switch {
		case s.Ended:
			return refused(s)
		case s.Spent:
			return refused(ended)
		}
		var next []grant
		if o.Late != "certainly" && could("ok") {
			next = append(next, grant{Spent: true, Current: gives})
		}
		if o.Late != "" {
			next = append(next, refused(s)...)
		}
		return next
	case "refresh":
		switch {
		case s.Ended:
			return refused(s)
		case o.Token == s.Current:
			if could("ok") {
				return []grant{{Spent: true, Current: gives, Previous: o.Token, Variant: o.Variant}}
			}
			return nil
		case o.Token == s.Previous && o.Variant == s.Variant:
			var next []grant
			if o.Late != "" {
				next = refused(ended)
			}
			if !could("ok") || (gives != unknown && s.Current != unknown && gives != s.Current) {
				return next
			}
			if s.Current == unknown {
				s.Current = gives
			}
			return append(next, s)
		}
		return refused(ended)
	}
	return nil
}

func stepToken(revoked bool, o operation) []bool {
	switch o.Name {
	case "revoke":
		return []bool{true}
	case "introspect":
		if introspected(o, !revoked) {
			return []bool{revoked}
		}
	}
	return nil
}

func stepFailures(count int, o operation) []int {
	switch {
	case o.Name != "guess":
		return nil
	case o.Answer == "held" && count >= guessBound:
		return []int{count}
	case o.Answer != "held" && count < guessBound:
		return []int{count + 1}
	}
	return nil
}

// An operation without an answer may also never have happened: porcupine wants each put somewhere, so it may leave the
// state as it is.
func model[State comparable](initial State, step func(State, operation) []State) porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Init: func() []interface{} { return []interface{}{initial} },
		Step: func(state, input, output interface{}) []interface{} {
			o := input.(operation)
			var next []interface{}
			for _, each := range step(state.(State), o) {
				next = append(next, each)
			}
			if o.Returned == nil {
				next = append(next, state)
			}
			return next
		},
		Equal: func(one, other interface{}) bool { return one == other },
	}
	return nondeterministic.ToModel()
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	var histories []history
	if err := json.Unmarshal(text, &histories); err != nil {
		panic(err)
	}
	models := map[string]porcupine.Model{
		"grant":    model(grant{}, stepGrant),
		"token":    model(false, stepToken),
		"failures": model(0, stepFailures),
	}
	failed := []string{}
	for _, h := range histories {
		checked, known := models[h.Model]
		if !known {
			panic("no model is called " + h.Model)
		}
		last := 0.0
		for _, o := range h.Operations {
			last = max(last, o.Invoked)
			if o.Returned != nil {
				last = max(last, *o.Returned)
			}
		}
		clients := map[string]int{}
		var operations []porcupine.Operation
		for _, o := range h.Operations {
			if _, seen := clients[o.Client]; !seen {
				clients[o.Client] = len(clients)
			}
			returned := last + 1
			if o.Returned != nil {
				returned = *o.Returned
			}
			// Milliseconds with a fraction to whole nanoseconds.
			operations = append(operations, porcupine.Operation{
				ClientId: clients[o.Client], Input: o, Call: int64(o.Invoked * 1e6), Return: int64(returned * 1e6),
			})
		}
		if result := porcupine.CheckOperationsTimeout(checked, operations, 20*time.Second); result != porcupine.Ok {
			failed = append(failed, fmt.Sprintf("%s %s: %s", h.Model, h.Key, result))
		}
	}
	out, _ := json.Marshal(failed)
	fmt.Println(string(out))
}
