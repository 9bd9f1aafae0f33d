// ask.go URL CA VERSION COUNT AT_ONCE: asks with Go's own net/http, and prints what it was answered (see front-clients.py).
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
)

func answer(client *http.Client, url string, number int) []any {
	method, body := "GET", io.Reader(nil)
	if number%2 == 1 {
		method, body = "POST", bytes.NewReader(bytes.Repeat([]byte("x"), number*997))
	}
	request, err := http.NewRequest(method, fmt.Sprint(url, "/", number), body)
	if err != nil {
		return []any{number, 0, "", err.Error()}
	}
	answer, err := client.Do(request)
	if err != nil {
		return []any{number, 0, "", err.Error()}
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return []any{number, 0, "", err.Error()}
	}
	version := strings.TrimSuffix(strings.TrimPrefix(answer.Proto, "HTTP/"), ".0")
	return []any{number, answer.StatusCode, version, string(said)}
}

func main() {
	url, version := os.Args[1], os.Args[3]
	authority, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	count, _ := strconv.Atoi(os.Args[4])
	atOnce, _ := strconv.Atoi(os.Args[5])
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2:   version == "2",
		MaxIdleConnsPerHost: atOnce,
	}
	client := &http.Client{Transport: transport}
	numbers, answers := make(chan int), make(chan []any, count)
	var loops sync.WaitGroup
	for i := 0; i < atOnce; i++ {
		loops.Add(1)
		go func() {
			defer loops.Done()
			for number := range numbers {
				answers <- answer(client, url, number)
			}
		}()
	}
	for number := 0; number < count; number++ {
		numbers <- number
	}
	close(numbers)
	loops.Wait()
	close(answers)
	all := [][]any{}
	for one := range answers {
		all = append(all, one)
	}
	text, _ := json.Marshal(all)
	fmt.Println(string(text))
}
