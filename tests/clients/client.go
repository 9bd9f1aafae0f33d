// Go's own HTTP client, as two programs use it:
//
//	client.go time URL CONNECTIONS REQUESTS
//	client.go answers URL CA VERSION REQUESTS CONNECTIONS
//
// CONNECTIONS loops ask REQUESTS times in all, every second time by POST. The first prints how long that and the longest
// request took, seconds, and what failed (see measure.py). The second asks for a path of its own each time, and prints what it
// was answered: number, status, version of HTTP, body (see proof/front-clients.py). Both print JSON.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// inLoops has so many loops at once do work for each number below count.
func inLoops(loops, count int, work func(number int)) {
	numbers := make(chan int)
	var running sync.WaitGroup
	for i := 0; i < loops; i++ {
		running.Add(1)
		go func() {
			defer running.Done()
			for number := range numbers {
				work(number)
			}
		}()
	}
	for number := 0; number < count; number++ {
		numbers <- number
	}
	close(numbers)
	running.Wait()
}

// ask asks by GET, or with an odd number by POST with that body, and reads the answer to its end.
func ask(client *http.Client, url string, number int, body []byte) (*http.Response, []byte, error) {
	method, content := "GET", io.Reader(nil)
	if number%2 == 1 {
		method, content = "POST", bytes.NewReader(body)
	}
	request, err := http.NewRequest(method, url, content)
	if err != nil {
		return nil, nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	return answer, said, err
}

func timed(url string, connections, requests int) any {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections}}
	failures := []string{}
	var longest time.Duration
	var lock sync.Mutex
	begun := time.Now()
	inLoops(connections, requests, func(number int) {
		one := time.Now()
		answer, _, err := ask(client, url, number, []byte("once"))
		took := time.Since(one)
		lock.Lock()
		defer lock.Unlock()
		if took > longest {
			longest = took
		}
		if err != nil {
			failures = append(failures, err.Error())
		} else if answer.StatusCode != 200 {
			failures = append(failures, fmt.Sprint(answer.Request.Method, ": status ", answer.StatusCode))
		}
	})
	return map[string]any{"seconds": time.Since(begun).Seconds(), "longest": longest.Seconds(), "failures": failures}
}

func answers(url, authority, version string, requests, connections int) any {
	certificates, err := os.ReadFile(authority)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificates)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2:   version == "2",
		MaxIdleConnsPerHost: connections,
	}}
	// Each loop writes places of its own.
	all := make([][]any, requests)
	inLoops(connections, requests, func(number int) {
		body := bytes.Repeat([]byte("x"), number*997)
		answer, said, err := ask(client, fmt.Sprint(url, "/", number), number, body)
		if err != nil {
			all[number] = []any{number, 0, "", err.Error()}
			return
		}
		version := strings.TrimSuffix(strings.TrimPrefix(answer.Proto, "HTTP/"), ".0")
		all[number] = []any{number, answer.StatusCode, version, string(said)}
	})
	return all
}

func number(text string) int {
	number, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return number
}

func main() {
	words := os.Args[2:]
	var said any
	if os.Args[1] == "time" {
		said = timed(words[0], number(words[1]), number(words[2]))
	} else {
		said = answers(words[0], words[1], words[2], number(words[3]), number(words[4]))
	}
	json.NewEncoder(os.Stdout).Encode(said)
}
